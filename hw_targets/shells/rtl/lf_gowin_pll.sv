// Gowin clock from an oscillator: f(out) = f(in) * FEEDBACK_DIV / INPUT_DIV, VCO = f(out) * OUTPUT_DIV.
//
// Source: Gowin UG286, rPLL; FCLKIN is f(in) in MHz.
module lf_gowin_pll #(
    parameter int INPUT_DIV    = 1,
    parameter int FEEDBACK_DIV = 1,
    parameter int OUTPUT_DIV   = 32,
    parameter INPUT_MHZ        = "27"
) (
    input  logic clk_in,
    output logic clk_out,
    output logic locked
);
    rPLL #(
        .FCLKIN(INPUT_MHZ),
        .DYN_IDIV_SEL("false"),
        .IDIV_SEL(INPUT_DIV - 1),
        .DYN_FBDIV_SEL("false"),
        .FBDIV_SEL(FEEDBACK_DIV - 1),
        .DYN_ODIV_SEL("false"),
        .ODIV_SEL(OUTPUT_DIV),
        .PSDA_SEL("0000"),
        .DYN_DA_EN("false"),
        .DUTYDA_SEL("1000"),
        .CLKFB_SEL("internal")
    ) pll (
        .CLKIN(clk_in),
        .CLKFB(1'b0),
        .RESET(1'b0),
        .RESET_P(1'b0),
        .FBDSEL(6'd0),
        .IDSEL(6'd0),
        .ODSEL(6'd0),
        .PSDA(4'd0),
        .DUTYDA(4'd0),
        .FDLY(4'd0),
        .CLKOUT(clk_out),
        .LOCK(locked),
        .CLKOUTP(),
        .CLKOUTD(),
        .CLKOUTD3()
    );
endmodule
