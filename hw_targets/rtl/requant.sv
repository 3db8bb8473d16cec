// out = (x * mult[channel] + add[channel]) >>> SHIFT, clipped to the range of OUT_BITS.
//
// Constants come from a memory, word `fold`, element {add, mult} of every lane.
// Stages: read | (register, block memories only) | multiply | add | clip; the first three of a lane
// are the registers of a DSP block.
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
    parameter     ROM_STYLE  = "distributed",
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
    // Block RAM answers late in the cycle: a register between it and the multipliers.
    localparam bit EXTRA = ROM_STYLE == "block" && FOLDS > 1;
    // Diagonals of two-bit digits, see lf_product.
    localparam int DIAGONALS = (MULT_BITS + 1) / 2 + (IN_BITS + 1) / 2 - 1;
    localparam int MULTIPLY = USE_DSP || DIAGONALS <= 2 ? 1 : $clog2(DIAGONALS);
    localparam int LATENCY = 1 + EXTRA + MULTIPLY + 2;
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

    // Operands as read.
    logic [PE*IN_BITS-1:0] x_read;
    logic [PE*LANE-1:0]    constant_read;

    always_ff @(posedge clk) if (enable) x_read <= s_axis_tdata;

    if (FOLDS == 1) begin : g_constant
        logic [PE*LANE-1:0] rom [1];
        initial $readmemh(CONSTANTS, rom);
        assign constant_read = rom[0];
    end else begin : g_rom
        logic [FOLD_BITS-1:0] fold;
        always_ff @(posedge clk) begin
            if (rst) fold <= '0;
            else if (enable && s_axis_tvalid)
                fold <= fold == FOLD_BITS'(FOLDS - 1) ? '0 : fold + 1'b1;
        end
        if (EXTRA) begin : g_block
            (* rom_style = "block" *) logic [PE*LANE-1:0] rom [FOLDS];
            initial $readmemh(CONSTANTS, rom);
            always_ff @(posedge clk) if (enable) constant_read <= rom[fold];
        end else begin : g_logic
            (* ram_style = "logic", rom_style = "distributed" *) logic [PE*LANE-1:0] rom [FOLDS];
            initial $readmemh(CONSTANTS, rom);
            always_ff @(posedge clk) if (enable) constant_read <= rom[fold];
        end
    end

    // Operands as multiplied.
    logic [PE*IN_BITS-1:0] x;
    logic [PE*LANE-1:0]    constant;

    if (EXTRA) begin : g_extra
        always_ff @(posedge clk) begin
            if (enable) begin
                x        <= x_read;
                constant <= constant_read;
            end
        end
    end else begin : g_plain
        assign x        = x_read;
        assign constant = constant_read;
    end

    for (genvar p = 0; p < PE; p++) begin : g_lane
        wire logic [IN_BITS-1:0] value = x[p*IN_BITS +: IN_BITS];
        wire logic [MULT_BITS-1:0] mult = constant[p*LANE +: MULT_BITS];
        logic signed [PRODUCT_BITS-1:0] product;

        if (USE_DSP) begin : g_dsp
            wire logic signed [IN_BITS:0] signed_value = {IN_SIGNED && value[IN_BITS-1], value};
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
        wire logic [ADD_BITS-1:0] addend = constant[p*LANE + MULT_BITS +: ADD_BITS];
        logic [MULTIPLY-1:0][ADD_BITS-1:0] waiting;
        always_ff @(posedge clk)
            if (enable) waiting <= (MULTIPLY*ADD_BITS)'({waiting, addend});
        wire logic signed [ADD_BITS-1:0] add = waiting[MULTIPLY-1];

        logic signed [SUM_BITS-1:0] sum;
        always_ff @(posedge clk) if (enable) sum <= SUM_BITS'(product) + SUM_BITS'(add);

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

`default_nettype wire
