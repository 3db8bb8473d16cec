// Interface of the ECP5 PLL, as far as it is used: the slang front end does not take parameters
// from Yosys' own cell library. Place and route knows the cell itself, sim/ehxplll.sv models it.
(* blackbox *)
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
endmodule
