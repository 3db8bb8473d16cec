// Interface of Gowin's PLL, as far as it is used: the slang front end does not take parameters from
// Yosys' own cell library. Place and route knows the cell itself, sim/rpll.sv models it.
(* blackbox *)
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
endmodule
