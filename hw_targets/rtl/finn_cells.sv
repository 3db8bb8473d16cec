// Ports of AMD's cells that FINN's RTL instantiates (UG953, UG974), for Yosys' slang front end alone:
// it reads no cell library. Vivado has these cells, and simulation takes FINN's description of them.
`ifdef __slang__
(* blackbox *)
module DSP48E1 #(
    parameter A_INPUT = "DIRECT", parameter B_INPUT = "DIRECT", parameter USE_DPORT = "FALSE",
    parameter USE_MULT = "MULTIPLY", parameter USE_SIMD = "ONE48",
    parameter AUTORESET_PATDET = "NO_RESET", parameter [47:0] MASK = '0, parameter [47:0] PATTERN = '0,
    parameter SEL_MASK = "MASK", parameter SEL_PATTERN = "PATTERN", parameter USE_PATTERN_DETECT = "NO_PATDET",
    parameter int ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1,
    CARRYINSELREG = 1, CREG = 1, DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1
) (
    output [29:0] ACOUT, output [17:0] BCOUT, output CARRYCASCOUT, output MULTSIGNOUT, output [47:0] PCOUT,
    output OVERFLOW, output PATTERNBDETECT, output PATTERNDETECT, output UNDERFLOW,
    output [3:0] CARRYOUT, output [47:0] P,
    input [29:0] ACIN, input [17:0] BCIN, input CARRYCASCIN, input MULTSIGNIN, input [47:0] PCIN,
    input CLK, input [3:0] ALUMODE, input [2:0] CARRYINSEL, input [4:0] INMODE, input [6:0] OPMODE,
    input [29:0] A, input [17:0] B, input [47:0] C, input CARRYIN, input [24:0] D,
    input CEA1, input CEA2, input CEAD, input CEALUMODE, input CEB1, input CEB2, input CEC, input CECARRYIN,
    input CECTRL, input CED, input CEINMODE, input CEM, input CEP,
    input RSTA, input RSTB, input RSTC, input RSTD, input RSTALLCARRYIN, input RSTALUMODE, input RSTCTRL,
    input RSTINMODE, input RSTM, input RSTP
);
endmodule

(* blackbox *)
module DSP48E2 #(
    parameter AMULTSEL = "A", parameter A_INPUT = "DIRECT", parameter BMULTSEL = "B", parameter B_INPUT = "DIRECT",
    parameter PREADDINSEL = "A", parameter [47:0] RND = '0, parameter USE_MULT = "MULTIPLY",
    parameter USE_SIMD = "ONE48", parameter USE_WIDEXOR = "FALSE", parameter XORSIMD = "XOR24_48_96",
    parameter AUTORESET_PATDET = "NO_RESET", parameter AUTORESET_PRIORITY = "RESET",
    parameter [47:0] MASK = '0, parameter [47:0] PATTERN = '0,
    parameter SEL_MASK = "MASK", parameter SEL_PATTERN = "PATTERN", parameter USE_PATTERN_DETECT = "NO_PATDET",
    parameter [3:0] IS_ALUMODE_INVERTED = '0, parameter IS_CARRYIN_INVERTED = 1'b0, parameter IS_CLK_INVERTED = 1'b0,
    parameter [4:0] IS_INMODE_INVERTED = '0, parameter [8:0] IS_OPMODE_INVERTED = '0,
    parameter IS_RSTALLCARRYIN_INVERTED = 1'b0, IS_RSTALUMODE_INVERTED = 1'b0, IS_RSTA_INVERTED = 1'b0,
    IS_RSTB_INVERTED = 1'b0, IS_RSTCTRL_INVERTED = 1'b0, IS_RSTC_INVERTED = 1'b0, IS_RSTD_INVERTED = 1'b0,
    IS_RSTINMODE_INVERTED = 1'b0, IS_RSTM_INVERTED = 1'b0, IS_RSTP_INVERTED = 1'b0,
    parameter int ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1,
    CARRYINSELREG = 1, CREG = 1, DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1
) (
    output [29:0] ACOUT, output [17:0] BCOUT, output CARRYCASCOUT, output MULTSIGNOUT, output [47:0] PCOUT,
    output OVERFLOW, output PATTERNBDETECT, output PATTERNDETECT, output UNDERFLOW,
    output [3:0] CARRYOUT, output [47:0] P, output [7:0] XOROUT,
    input [29:0] ACIN, input [17:0] BCIN, input CARRYCASCIN, input MULTSIGNIN, input [47:0] PCIN,
    input CLK, input [3:0] ALUMODE, input [2:0] CARRYINSEL, input [4:0] INMODE, input [8:0] OPMODE,
    input [29:0] A, input [17:0] B, input [47:0] C, input CARRYIN, input [26:0] D,
    input CEA1, input CEA2, input CEAD, input CEALUMODE, input CEB1, input CEB2, input CEC, input CECARRYIN,
    input CECTRL, input CED, input CEINMODE, input CEM, input CEP,
    input RSTA, input RSTB, input RSTC, input RSTD, input RSTALLCARRYIN, input RSTALUMODE, input RSTCTRL,
    input RSTINMODE, input RSTM, input RSTP
);
endmodule

(* blackbox *)
module LUT6_2 #(parameter [63:0] INIT = 0) (output O5, output O6, input I0, input I1, input I2, input I3, input I4, input I5);
endmodule
`endif
