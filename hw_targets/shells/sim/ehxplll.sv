// Behaviour of the ECP5 PLL with its feedback from CLKOP: it measures its input, and gives
// f(CLKI) * CLKFB_DIV / CLKI_DIV, locked after LOCK_CYCLES of it. A VCO outside the device's
// limits never locks.
//
// Source: Lattice FPGA-DS-02012, sysCLOCK PLL timing (VCO 400 to 800 MHz); FPGA-TN-02200.
// Jitter, phase and the many cycles until a real PLL locks are left out. Ports as lf_ecp5_cells.sv.
module EHXPLLL #(
    parameter PLLRST_ENA      = "DISABLED",
    parameter INTFB_WAKE      = "DISABLED",
    parameter STDBY_ENABLE    = "DISABLED",
    parameter DPHASE_SOURCE   = "DISABLED",
    parameter OUTDIVIDER_MUXA = "DIVA",
    parameter OUTDIVIDER_MUXB = "DIVB",
    parameter OUTDIVIDER_MUXC = "DIVC",
    parameter OUTDIVIDER_MUXD = "DIVD",
    parameter CLKOP_ENABLE    = "ENABLED",
    parameter FEEDBK_PATH     = "CLKOP",
    parameter int CLKI_DIV     = 1,
    parameter int CLKFB_DIV    = 1,
    parameter int CLKOP_DIV    = 8,
    parameter int CLKOP_CPHASE = 0,
    parameter int CLKOP_FPHASE = 0
) (
    input  logic CLKI, CLKFB, RST, STDBY, PLLWAKESYNC, ENCLKOP,
    input  logic PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    output logic CLKOP, CLKINTFB, LOCK
);
    timeunit 1ps;
    timeprecision 1ps;

    localparam int LOCK_CYCLES = 16;
    localparam longint unsigned VCO_LEAST = 1250;  // period in ps, of 800 MHz
    localparam longint unsigned VCO_MOST  = 2500;  // of 400 MHz

    longint unsigned last   = 0;
    longint unsigned period = 0;
    longint unsigned half   = 0;  // of CLKOP; 0 until the input's period is known
    longint unsigned vco    = 0;

    always @(posedge CLKI) begin
        period = $time - last;
        if (last != 0 && half == 0) half = period * CLKI_DIV / (2 * CLKFB_DIV);
        last = $time;
    end

    initial begin
        int cycles;
        CLKOP = 1'b0;
        LOCK  = 1'b0;
        wait (half != 0);
        vco = 2 * half / CLKOP_DIV;
        for (cycles = 0; vco >= VCO_LEAST && vco <= VCO_MOST; cycles++) begin
            if (cycles == LOCK_CYCLES) LOCK = 1'b1;
            #(half) CLKOP = 1'b1;
            #(half) CLKOP = 1'b0;
        end
    end

    assign CLKINTFB = 1'b0;
endmodule
