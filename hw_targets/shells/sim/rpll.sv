// Behaviour of Gowin's rPLL with its feedback inside: it measures its input, and gives
// f(CLKIN) * (FBDIV_SEL + 1) / (IDIV_SEL + 1), locked after LOCK_CYCLES of it. A VCO outside the limits
// never locks.
//
// Source: Gowin UG286, rPLL; DS117 and DS226 (VCO: what GW1NR-9 and GW2AR-18 both do, 500 to 1200 MHz).
// Jitter, phase and the many cycles until a real PLL locks are left out. Ports as lf_gowin_cells.sv.
module rPLL #(
    parameter FCLKIN        = "100.0",
    parameter DYN_IDIV_SEL  = "false",
    parameter int IDIV_SEL  = 0,
    parameter DYN_FBDIV_SEL = "false",
    parameter int FBDIV_SEL = 0,
    parameter DYN_ODIV_SEL  = "false",
    parameter int ODIV_SEL  = 8,
    parameter PSDA_SEL      = "0000",
    parameter DYN_DA_EN     = "false",
    parameter DUTYDA_SEL    = "1000",
    parameter CLKFB_SEL     = "internal"
) (
    input  logic       CLKIN, CLKFB, RESET, RESET_P,
    input  logic [5:0] FBDSEL, IDSEL, ODSEL,
    input  logic [3:0] PSDA, DUTYDA, FDLY,
    output logic       CLKOUT, LOCK, CLKOUTP, CLKOUTD, CLKOUTD3
);
    timeunit 1ps;
    timeprecision 1ps;

    localparam int LOCK_CYCLES = 16;
    localparam longint unsigned VCO_LEAST = 833;   // period in ps, of 1200 MHz
    localparam longint unsigned VCO_MOST  = 2000;  // of 500 MHz

    longint unsigned last   = 0;
    longint unsigned period = 0;
    longint unsigned half   = 0;  // of CLKOUT; 0 until the input's period is known
    longint unsigned vco    = 0;

    always @(posedge CLKIN) begin
        period = $time - last;
        if (last != 0 && half == 0) half = period * (IDIV_SEL + 1) / (2 * (FBDIV_SEL + 1));
        last = $time;
    end

    initial begin
        int cycles;
        CLKOUT = 1'b0;
        LOCK   = 1'b0;
        wait (half != 0);
        vco = 2 * half / ODIV_SEL;
        for (cycles = 0; vco >= VCO_LEAST && vco <= VCO_MOST; cycles++) begin
            if (cycles == LOCK_CYCLES) LOCK = 1'b1;
            #(half) CLKOUT = 1'b1;
            #(half) CLKOUT = 1'b0;
        end
    end

    assign {CLKOUTP, CLKOUTD, CLKOUTD3} = '0;
endmodule
