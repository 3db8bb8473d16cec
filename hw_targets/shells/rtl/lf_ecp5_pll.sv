// ECP5 clock from an oscillator: f(out) = f(in) * FEEDBACK_DIV / INPUT_DIV, VCO = f(out) * OUTPUT_DIV.
//
// Source: Lattice FPGA-TN-02200, sysCLOCK PLL; attribute values as Project Trellis' ecppll writes them.
module lf_ecp5_pll #(
    parameter int INPUT_DIV    = 1,
    parameter int FEEDBACK_DIV = 2,
    parameter int OUTPUT_DIV   = 12
) (
    input  logic clk_in,
    output logic clk_out,
    output logic locked
);
    (* ICP_CURRENT="12" *) (* LPF_RESISTOR="8" *)
    (* MFG_ENABLE_FILTEROPAMP="1" *) (* MFG_GMCREF_SEL="2" *)
    EHXPLLL #(
        .PLLRST_ENA("DISABLED"),
        .INTFB_WAKE("DISABLED"),
        .STDBY_ENABLE("DISABLED"),
        .DPHASE_SOURCE("DISABLED"),
        .OUTDIVIDER_MUXA("DIVA"),
        .OUTDIVIDER_MUXB("DIVB"),
        .OUTDIVIDER_MUXC("DIVC"),
        .OUTDIVIDER_MUXD("DIVD"),
        .CLKI_DIV(INPUT_DIV),
        .CLKOP_ENABLE("ENABLED"),
        .CLKOP_DIV(OUTPUT_DIV),
        .CLKOP_CPHASE(OUTPUT_DIV / 2),
        .CLKOP_FPHASE(0),
        .FEEDBK_PATH("CLKOP"),
        .CLKFB_DIV(FEEDBACK_DIV)
    ) pll (
        .RST(1'b0),
        .STDBY(1'b0),
        .CLKI(clk_in),
        .CLKOP(clk_out),
        .CLKFB(clk_out),
        .CLKINTFB(),
        .PHASESEL0(1'b0),
        .PHASESEL1(1'b0),
        .PHASEDIR(1'b1),
        .PHASESTEP(1'b1),
        .PHASELOADREG(1'b1),
        .PLLWAKESYNC(1'b0),
        .ENCLKOP(1'b0),
        .LOCK(locked)
    );
endmodule
