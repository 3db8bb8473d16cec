// out = (x * mult[channel] + add[channel]) >>> SHIFT, clipped to the range of OUT_BITS.
//
// Constants come from a memory, word `fold`, element {add, mult} of every lane.
// Stages: read (one to four, see lf_rom) | multiply | add | clip; the last of the reading and the
// next two of a lane are the registers of a DSP block. Behind constants of several levels of LUTs, as
// behind block RAM, a multiplier has a register of its own: the way to it is long.
`default_nettype none

module lf_requant #(
    parameter int PE         = 1,
    parameter int FOLDS      = 1,
    parameter int IN_BITS    = 16,
    parameter bit IN_SIGNED  = 1,
    parameter int OUT_BITS   = 4,
    parameter bit OUT_SIGNED = 0,
    parameter int MULT_BITS  = 18,
    parameter int ADD_BITS   = 32,
    parameter int SHIFT      = 20,
    parameter int SUM_BITS   = 35,
    parameter bit USE_DSP    = 1,
    // Of a multiplier's wider operand; the other one has at most 18 of them.
    parameter int MULTIPLIER_BITS = 18,
    // Of the constants' memory, see lf_rom.
    parameter int ROM_BANKS  = 0,
    parameter     CONSTANTS  = "constants.mem"
) (
    input  wire logic                   clk,
    input  wire logic                   rst,
    input  wire logic [PE*IN_BITS-1:0]  s_axis_tdata,
    input  wire logic                   s_axis_tvalid,
    output      logic                   s_axis_tready,
    output      logic [PE*OUT_BITS-1:0] m_axis_tdata,
    output      logic                   m_axis_tvalid,
    input  wire logic                   m_axis_tready
);
    localparam int LANE = MULT_BITS + ADD_BITS;
    localparam int FOLD_BITS = FOLDS > 1 ? $clog2(FOLDS) : 1;
    // More words than this are several levels of LUTs.
    localparam int FEW_FOLDS = 16;
    localparam bit FAR = USE_DSP && (ROM_BANKS == 1 || ROM_BANKS == 0 && FOLDS > FEW_FOLDS);
    // Clock cycles from an address to constants.
    localparam int READ =
        (ROM_BANKS > 4 ? 4 : ROM_BANKS > 1 ? 3 : ROM_BANKS == 1 ? 2 : 1) + FAR;
    // Diagonals of two-bit digits, see lf_product.
    localparam int DIAGONALS = (MULT_BITS + 1) / 2 + (IN_BITS + 1) / 2 - 1;
    // What does not fit into one multiplier is cut: bits of the lower parts, 0 for what is whole.
    localparam int NARROW = MULTIPLIER_BITS < 18 ? MULTIPLIER_BITS : 18;
    localparam int X_BITS = IN_SIGNED ? IN_BITS : IN_BITS + 1;
    localparam int X_SIDE = X_BITS >= MULT_BITS ? MULTIPLIER_BITS : NARROW;
    localparam int M_SIDE = X_BITS >= MULT_BITS ? NARROW : MULTIPLIER_BITS;
    localparam int X_LOW = X_BITS > X_SIDE ? X_SIDE - 1 : 0;
    localparam int M_LOW = MULT_BITS > M_SIDE ? M_SIDE - 1 : 0;
    localparam bit CUT = USE_DSP && (X_LOW > 0 || M_LOW > 0);
    localparam int MULTIPLY = CUT ? 2 : USE_DSP || DIAGONALS <= 2 ? 1 : $clog2(DIAGONALS);
    localparam int LATENCY = READ + MULTIPLY + 2;
    localparam int PRODUCT_BITS = MULT_BITS + IN_BITS;
    // Bits of a shifted sum: two more than the output's at least, to tell what lies outside.
    localparam int WIDE = SUM_BITS > OUT_BITS + 2 ? SUM_BITS : OUT_BITS + 2;

    logic [LATENCY-1:0] valids;

    assign m_axis_tvalid = valids[LATENCY-1];
    wire logic enable = m_axis_tready || !m_axis_tvalid;
    assign s_axis_tready = enable;

    always_ff @(posedge clk) begin
        if (rst) valids <= '0;
        else if (enable) valids <= LATENCY'({valids, s_axis_tvalid});
    end

    // Constants, and values that wait for them.
    logic [FOLD_BITS-1:0]             fold;
    logic [PE*LANE-1:0]               constant_read, constant;
    logic [READ:0][PE*IN_BITS-1:0]    xs;

    always_ff @(posedge clk) begin
        if (rst) fold <= '0;
        else if (enable && s_axis_tvalid)
            fold <= fold == FOLD_BITS'(FOLDS - 1) ? '0 : fold + 1'b1;
    end

    lf_rom #(.WIDTH(PE*LANE), .DEPTH(FOLDS), .BANKS(ROM_BANKS), .WORDS(CONSTANTS)) u_constants (
        .clk(clk), .enable(enable), .addr(fold), .data(constant_read)
    );
    if (FAR) begin : g_far
        always_ff @(posedge clk) if (enable) constant <= constant_read;
    end else begin : g_near
        assign constant = constant_read;
    end

    assign xs[0] = s_axis_tdata;
    for (genvar r = 1; r <= READ; r++) begin : g_wait
        always_ff @(posedge clk) if (enable) xs[r] <= xs[r-1];
    end
    wire logic [PE*IN_BITS-1:0] x = xs[READ];

    for (genvar p = 0; p < PE; p++) begin : g_lane
        wire logic [IN_BITS-1:0] value = x[p*IN_BITS +: IN_BITS];
        wire logic [MULT_BITS-1:0] mult = constant[p*LANE +: MULT_BITS];
        wire logic signed [X_BITS-1:0] signed_value = X_BITS'({IN_SIGNED && value[IN_BITS-1], value});
        wire logic signed [ADD_BITS-1:0] addend = constant[p*LANE + MULT_BITS +: ADD_BITS];
        logic signed [SUM_BITS-1:0] sum;

        if (CUT) begin : g_cut
            lf_requant_cut #(
                .A_BITS(X_LOW > 0 ? X_BITS : MULT_BITS), .A_LOW(X_LOW > 0 ? X_LOW : M_LOW),
                .B_BITS(X_LOW > 0 ? MULT_BITS : X_BITS), .B_LOW(X_LOW > 0 ? M_LOW : 0),
                .ADD_BITS(ADD_BITS), .SUM_BITS(SUM_BITS)
            ) u_sum (
                .clk(clk), .enable(enable), .addend(addend), .sum(sum),
                .a(X_LOW > 0 ? signed_value : mult), .b(X_LOW > 0 ? mult : signed_value)
            );
        end else begin : g_whole
            logic signed [PRODUCT_BITS-1:0] product;

            if (USE_DSP) begin : g_dsp
                (* use_dsp = "yes" *) logic signed [PRODUCT_BITS-1:0] multiplied;
                always_ff @(posedge clk)
                    if (enable) multiplied <= PRODUCT_BITS'($signed(mult) * signed_value);
                assign product = multiplied;
            end else begin : g_lut
                lf_product #(
                    .WEIGHT_BITS(MULT_BITS), .ACT_BITS(IN_BITS), .ACT_SIGNED(IN_SIGNED)
                ) u_product (
                    .clk(clk), .enable(enable), .weight(mult), .act(value), .product(product)
                );
            end

            // The addend waits while the product is made.
            logic [MULTIPLY-1:0][ADD_BITS-1:0] waiting;
            always_ff @(posedge clk) begin
                if (enable) begin
                    waiting <= (MULTIPLY*ADD_BITS)'({waiting, addend});
                    sum     <= SUM_BITS'(product) + SUM_BITS'($signed(waiting[MULTIPLY-1]));
                end
            end
        end

        wire logic signed [WIDE-1:0] shifted = WIDE'(sum >>> SHIFT);
        wire logic negative = shifted[WIDE-1];
        logic [OUT_BITS-1:0] clipped;

        if (OUT_SIGNED) begin : g_signed
            wire logic [WIDE-OUT_BITS:0] high = shifted[WIDE-1:OUT_BITS-1];
            wire logic fits = high == '0 || high == '1;
            wire logic [OUT_BITS-1:0] limit =
                {OUT_BITS{!negative}} ^ (OUT_BITS'(1) << (OUT_BITS - 1));
            assign clipped = fits ? shifted[OUT_BITS-1:0] : limit;
        end else begin : g_unsigned
            wire logic over = shifted[WIDE-2:OUT_BITS] != '0;
            assign clipped = negative ? '0 : over ? '1 : shifted[OUT_BITS-1:0];
        end

        always_ff @(posedge clk) if (enable) m_axis_tdata[p*OUT_BITS +: OUT_BITS] <= clipped;
    end
endmodule

// a * b + addend by several multipliers, three clock cycles later: the operand a is cut at A_LOW, and
// b at B_LOW unless that is 0. Products of parts are registered, then added to each other and to
// the addend, and these sums to one another.
module lf_requant_cut #(
    parameter int A_BITS   = 20,
    parameter int A_LOW    = 17,
    parameter int B_BITS   = 20,
    parameter int B_LOW    = 17,
    parameter int ADD_BITS = 32,
    parameter int SUM_BITS = 41
) (
    input  wire logic                       clk,
    input  wire logic                       enable,
    input  wire logic signed [A_BITS-1:0]   a,
    input  wire logic signed [B_BITS-1:0]   b,
    input  wire logic signed [ADD_BITS-1:0] addend,
    output      logic signed [SUM_BITS-1:0] sum
);
    localparam int A_HIGH = A_BITS - A_LOW;
    localparam int B_HIGH = B_BITS - B_LOW;
    // From here on the second sum is added.
    localparam int LOW = B_LOW > 0 && B_LOW < A_LOW ? B_LOW : A_LOW;
    localparam int HIGH_BITS = SUM_BITS - LOW;

    wire logic signed [A_HIGH-1:0] a_high = a[A_BITS-1:A_LOW];
    wire logic signed [A_LOW:0]    a_low  = {1'b0, a[A_LOW-1:0]};
    logic signed [ADD_BITS-1:0]    waiting;
    logic signed [SUM_BITS-1:0]    lower;
    logic signed [HIGH_BITS-1:0]   upper;

    always_ff @(posedge clk) if (enable) waiting <= addend;

    if (B_LOW == 0) begin : g_two
        (* use_dsp = "yes" *) logic signed [A_HIGH+B_BITS-1:0] high;
        (* use_dsp = "yes" *) logic signed [A_LOW+B_BITS:0]    low;
        always_ff @(posedge clk) begin
            if (enable) begin
                high  <= (A_HIGH+B_BITS)'(a_high * b);
                low   <= (A_LOW+B_BITS+1)'(a_low * b);
                lower <= SUM_BITS'(low) + SUM_BITS'(waiting);
                upper <= HIGH_BITS'(high);
            end
        end
    end else begin : g_four
        wire logic signed [B_HIGH-1:0] b_high = b[B_BITS-1:B_LOW];
        wire logic signed [B_LOW:0]    b_low  = {1'b0, b[B_LOW-1:0]};
        (* use_dsp = "yes" *) logic signed [A_HIGH+B_HIGH-1:0] high;
        (* use_dsp = "yes" *) logic signed [A_HIGH+B_LOW:0]    a_part;
        (* use_dsp = "yes" *) logic signed [A_LOW+B_HIGH:0]    b_part;
        (* use_dsp = "yes" *) logic signed [A_LOW+B_LOW+1:0]   low;
        // The lower product is below what the upper one counts in: side by side, no addition.
        wire logic signed [A_BITS+B_BITS-1:0] outer = {high, low[A_LOW+B_LOW-1:0]};
        always_ff @(posedge clk) begin
            if (enable) begin
                high   <= (A_HIGH+B_HIGH)'(a_high * b_high);
                a_part <= (A_HIGH+B_LOW+1)'(a_high * b_low);
                b_part <= (A_LOW+B_HIGH+1)'(a_low * b_high);
                low    <= (A_LOW+B_LOW+2)'(a_low * b_low);
                lower  <= SUM_BITS'(outer) + SUM_BITS'(waiting);
                upper  <= (HIGH_BITS'(a_part) <<< (A_LOW - LOW))
                    + (HIGH_BITS'(b_part) <<< (B_LOW - LOW));
            end
        end
    end

    // Bits below LOW pass.
    always_ff @(posedge clk) begin
        if (enable) begin
            sum[LOW-1:0] <= lower[LOW-1:0];
            sum[SUM_BITS-1:LOW] <= lower[SUM_BITS-1:LOW] + upper;
        end
    end
endmodule

`default_nettype wire
