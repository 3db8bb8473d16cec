// Behaviour of the ECP5's block RAM and multiplier as Yosys uses them, with the output registers
// that `hw_targets/flows/ecp5_registers.py` moves into them: Yosys' own library has only their
// interfaces. With them, netlists can be simulated.
//
// Sources: Lattice FPGA-TN-02204 (memory usage guide) and FPGA-TN-02205 (sysDSP usage guide); Yosys
// share/lattice/brams_16kd.txt, brams_map_16kd.v and dsp_map_18x18.v tell the modes it makes use of.

// 16 kbit with two ports. Addresses count bits, bytes have 9; the lowest address bits of ports of 18
// and 36 bits enable bytes instead. A port of 36 bits has the data pins of both: A writes then, B
// reads. Asynchronous resets are tied low.
module DP16KD #(
    parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG", parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL", parameter WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA", parameter CLKBMUX = "CLKB", parameter GSR = "AUTO",
    parameter INITVAL_00 = 320'd0, parameter INITVAL_01 = 320'd0, parameter INITVAL_02 = 320'd0,
    parameter INITVAL_03 = 320'd0, parameter INITVAL_04 = 320'd0, parameter INITVAL_05 = 320'd0,
    parameter INITVAL_06 = 320'd0, parameter INITVAL_07 = 320'd0, parameter INITVAL_08 = 320'd0,
    parameter INITVAL_09 = 320'd0, parameter INITVAL_0A = 320'd0, parameter INITVAL_0B = 320'd0,
    parameter INITVAL_0C = 320'd0, parameter INITVAL_0D = 320'd0, parameter INITVAL_0E = 320'd0,
    parameter INITVAL_0F = 320'd0, parameter INITVAL_10 = 320'd0, parameter INITVAL_11 = 320'd0,
    parameter INITVAL_12 = 320'd0, parameter INITVAL_13 = 320'd0, parameter INITVAL_14 = 320'd0,
    parameter INITVAL_15 = 320'd0, parameter INITVAL_16 = 320'd0, parameter INITVAL_17 = 320'd0,
    parameter INITVAL_18 = 320'd0, parameter INITVAL_19 = 320'd0, parameter INITVAL_1A = 320'd0,
    parameter INITVAL_1B = 320'd0, parameter INITVAL_1C = 320'd0, parameter INITVAL_1D = 320'd0,
    parameter INITVAL_1E = 320'd0, parameter INITVAL_1F = 320'd0, parameter INITVAL_20 = 320'd0,
    parameter INITVAL_21 = 320'd0, parameter INITVAL_22 = 320'd0, parameter INITVAL_23 = 320'd0,
    parameter INITVAL_24 = 320'd0, parameter INITVAL_25 = 320'd0, parameter INITVAL_26 = 320'd0,
    parameter INITVAL_27 = 320'd0, parameter INITVAL_28 = 320'd0, parameter INITVAL_29 = 320'd0,
    parameter INITVAL_2A = 320'd0, parameter INITVAL_2B = 320'd0, parameter INITVAL_2C = 320'd0,
    parameter INITVAL_2D = 320'd0, parameter INITVAL_2E = 320'd0, parameter INITVAL_2F = 320'd0,
    parameter INITVAL_30 = 320'd0, parameter INITVAL_31 = 320'd0, parameter INITVAL_32 = 320'd0,
    parameter INITVAL_33 = 320'd0, parameter INITVAL_34 = 320'd0, parameter INITVAL_35 = 320'd0,
    parameter INITVAL_36 = 320'd0, parameter INITVAL_37 = 320'd0, parameter INITVAL_38 = 320'd0,
    parameter INITVAL_39 = 320'd0, parameter INITVAL_3A = 320'd0, parameter INITVAL_3B = 320'd0,
    parameter INITVAL_3C = 320'd0, parameter INITVAL_3D = 320'd0, parameter INITVAL_3E = 320'd0,
    parameter INITVAL_3F = 320'd0
) (
    input  DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
           DIA4, DIA3, DIA2, DIA1, DIA0,
    input  ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input  CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
           DOA4, DOA3, DOA2, DOA1, DOA0,
    input  DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
           DIB4, DIB3, DIB2, DIB1, DIB0,
    input  ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input  CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
           DOB4, DOB3, DOB2, DOB1, DOB0
);
    localparam logic [64*320-1:0] INIT = {INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
        INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31,
        INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A,
        INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23,
        INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C,
        INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16, INITVAL_15,
        INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F, INITVAL_0E,
        INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08, INITVAL_07,
        INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00};

    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
        DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
        DIB3, DIB2, DIB1, DIB0};

    logic [8:0]  memory [2048];
    logic [35:0] qa, qb;

    initial begin
        for (int at = 0; at < 2048; at++)
            memory[at] = INIT[320*(at/32) + 20*(at/2%16) + 9*(at%2) +: 9];
        qa = '0;
        qb = '0;
    end

    // `width` bits of the memory from bit address `address`, at the low end.
    function automatic logic [35:0] read(input int width, input logic [13:0] address);
        case (width)
            36: for (int at = 0; at < 4; at++) read[9*at +: 9] = memory[{address[13:5], 2'(at)}];
            18: read = {18'd0, memory[{address[13:4], 1'b1}], memory[{address[13:4], 1'b0}]};
            9:  read = 36'(memory[address[13:3]]);
            default: read = 36'(memory[address[13:3]] >> address[2:0]) & ((36'd1 << width) - 36'd1);
        endcase
    endfunction

    // What byte `index` becomes when `data` of `width` bits is written to bit address `address`.
    function automatic logic [8:0] merged(
        input int width, input logic [13:0] address, input logic [8:0] data, input logic [10:0] index
    );
        if (width >= 9) return data;
        merged = memory[index];
        for (int bit_ = 0; bit_ < width; bit_++) merged[address[2:0] + 3'(bit_)] = data[bit_];
    endfunction

    // Bytes that a write of `width` bits to `address` reaches: at most four.
    function automatic logic [10:0] byte_at(input int width, input logic [13:0] address, input int at);
        case (width)
            36: return {address[13:5], 2'(at)};
            18: return {address[13:4], 1'(at)};
            default: return address[13:3];
        endcase
    endfunction

    function automatic logic enabled(input int width, input logic [13:0] address, input int at);
        return width >= 18 ? at < width / 9 && address[at] : at == 0;
    endfunction

    wire clka = CLKAMUX == "INV" ? !CLKA : CLKA;
    wire clkb = CLKBMUX == "INV" ? !CLKB : CLKB;
    wire [35:0] wide = {dib, dia};

    always @(posedge clka) begin
        if (CEA && WEA && !RSTA)
            for (int at = 0; at < 4; at++)
                if (enabled(DATA_WIDTH_A, ada, at))
                    memory[byte_at(DATA_WIDTH_A, ada, at)] <= merged(
                        DATA_WIDTH_A, ada, wide[9*at +: 9], byte_at(DATA_WIDTH_A, ada, at));
        if (RSTA) qa <= '0;
        else if (CEA && WEA && WRITEMODE_A == "WRITETHROUGH") qa <= wide;
        else if (CEA && !(WEA && WRITEMODE_A == "NORMAL")) qa <= read(DATA_WIDTH_A, ada);
    end

    always @(posedge clkb) begin
        if (CEB && WEB && !RSTB && DATA_WIDTH_A != 36)
            for (int at = 0; at < 2; at++)
                if (enabled(DATA_WIDTH_B, adb, at))
                    memory[byte_at(DATA_WIDTH_B, adb, at)] <= merged(
                        DATA_WIDTH_B, adb, dib[9*at +: 9], byte_at(DATA_WIDTH_B, adb, at));
        if (RSTB) qb <= '0;
        else if (CEB && WEB && WRITEMODE_B == "WRITETHROUGH") qb <= 36'(dib);
        else if (CEB && !(WEB && WRITEMODE_B == "NORMAL")) qb <= read(DATA_WIDTH_B, adb);
    end

    logic [35:0] registered_a, registered_b;
    always @(posedge clka) if (OCEA) registered_a <= qa;
    always @(posedge clkb) if (OCEB) registered_b <= qb;

    wire [35:0] out_a = REGMODE_A == "OUTREG" ? registered_a : qa;
    wire [35:0] out_b = REGMODE_B == "OUTREG" ? registered_b : qb;

    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
        DOA3, DOA2, DOA1, DOA0} =
        DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
        DOB3, DOB2, DOB1, DOB0} =
        DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
endmodule

// 18 x 18 bits, each operand signed or not. The output may have a register, of clock and enable 0,
// and both operands one of clock and enable 0 or 1.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", parameter REG_INPUTB_CLK = "NONE",
    parameter REG_INPUTA_CE = "CE0", parameter REG_INPUTB_CE = "CE0",
    parameter REG_INPUTA_RST = "RST0", parameter REG_INPUTB_RST = "RST0",
    parameter REG_INPUTC_CLK = "NONE", parameter REG_PIPELINE_CLK = "NONE",
    parameter REG_OUTPUT_CLK = "NONE", parameter REG_OUTPUT_CE = "CE0",
    parameter REG_OUTPUT_RST = "RST0"
) (
    input  A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input  B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input  C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input  SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0, CLK1, CE1, RST1,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
           P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};

    wire input_clock = REG_INPUTA_CLK == "CLK1" ? CLK1 : CLK0;
    wire input_enable = REG_INPUTA_CE == "CE1" ? CE1 : CE0;
    logic [17:0] a_held, b_held;
    always @(posedge input_clock) if (input_enable) {a_held, b_held} <= {a, b};

    wire [17:0] x = REG_INPUTA_CLK == "NONE" ? a : a_held;
    wire [17:0] y = REG_INPUTB_CLK == "NONE" ? b : b_held;
    wire signed [36:0] product = $signed({SIGNEDA && x[17], x}) * $signed({SIGNEDB && y[17], y});

    logic [35:0] registered;
    always @(posedge CLK0) if (CE0) registered <= product[35:0];

    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17,
        P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
        REG_OUTPUT_CLK == "CLK0" ? registered : product[35:0];
endmodule
