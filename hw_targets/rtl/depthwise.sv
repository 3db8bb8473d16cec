// Depthwise convolution: PE channels times their weights of one tap a clock cycle, then sums over
// TAPS (`lf_reduce`).
//
// Weights stream from a ROM, word tap*FOLDS + fold.
// Stages: read | (register, block memories only) | multiply | accumulate.
`default_nettype none

module lf_depthwise #(
    parameter int FOLDS       = 1,
    parameter int TAPS        = 9,
    parameter int PE          = 1,
    parameter int WEIGHT_BITS = 4,
    parameter int ACT_BITS    = 4,
    parameter bit ACT_SIGNED  = 0,
    parameter int ACC_BITS    = 12,
    parameter bit USE_DSP     = 0,
    parameter     ROM_STYLE   = "distributed",
    parameter     WEIGHTS     = "weights.mem",
    localparam int IN_WIDTH   = PE * ACT_BITS,
    localparam int OUT_WIDTH  = PE * ACC_BITS
) (
    input  wire logic                 clk,
    input  wire logic                 rst,
    input  wire logic [IN_WIDTH-1:0]  s_axis_tdata,
    input  wire logic                 s_axis_tvalid,
    output      logic                 s_axis_tready,
    output      logic [OUT_WIDTH-1:0] m_axis_tdata,
    output      logic                 m_axis_tvalid,
    input  wire logic                 m_axis_tready
);
    localparam int WORDS = TAPS * FOLDS;
    localparam int ROM_WIDTH = PE * WEIGHT_BITS;
    localparam int ADDR = WORDS > 1 ? $clog2(WORDS) : 1;
    // Block RAM answers late in the cycle: a register between it and the multipliers.
    localparam bit EXTRA = ROM_STYLE == "block" && WORDS > 1;
    // Diagonals of two-bit digits, see lf_product.
    localparam int DIAGONALS = (WEIGHT_BITS + 1) / 2 + (ACT_BITS + 1) / 2 - 1;
    localparam int MULTIPLY = USE_DSP || DIAGONALS <= 2 ? 1 : $clog2(DIAGONALS);
    localparam int LATENCY = 1 + EXTRA + MULTIPLY;
    localparam int PRODUCT_BITS = WEIGHT_BITS + ACT_BITS;

    logic [PE*PRODUCT_BITS-1:0] products;
    logic [LATENCY-1:0]         valids;
    logic                       taken;

    wire logic enable = !valids[LATENCY-1] || taken;
    assign s_axis_tready = enable;

    always_ff @(posedge clk) begin
        if (rst) valids <= '0;
        else if (enable) valids <= LATENCY'({valids, s_axis_tvalid});
    end

    // Operands as read.
    logic [IN_WIDTH-1:0]  act_read;
    logic [ROM_WIDTH-1:0] weight_read;

    always_ff @(posedge clk) if (enable) act_read <= s_axis_tdata;

    if (WORDS == 1) begin : g_constant
        logic [ROM_WIDTH-1:0] rom [1];
        initial $readmemh(WEIGHTS, rom);
        assign weight_read = rom[0];
    end else begin : g_rom
        logic [ADDR-1:0] addr;
        always_ff @(posedge clk) begin
            if (rst) addr <= '0;
            else if (enable && s_axis_tvalid)
                addr <= addr == ADDR'(WORDS - 1) ? '0 : addr + 1'b1;
        end
        if (EXTRA) begin : g_block
            (* rom_style = "block" *) logic [ROM_WIDTH-1:0] rom [WORDS];
            initial $readmemh(WEIGHTS, rom);
            always_ff @(posedge clk) if (enable) weight_read <= rom[addr];
        end else begin : g_logic
            (* ram_style = "logic", rom_style = "distributed" *) logic [ROM_WIDTH-1:0] rom [WORDS];
            initial $readmemh(WEIGHTS, rom);
            always_ff @(posedge clk) if (enable) weight_read <= rom[addr];
        end
    end

    // Operands as multiplied.
    logic [IN_WIDTH-1:0]  act;
    logic [ROM_WIDTH-1:0] weight;

    if (EXTRA) begin : g_extra
        always_ff @(posedge clk) begin
            if (enable) begin
                act    <= act_read;
                weight <= weight_read;
            end
        end
    end else begin : g_plain
        assign act    = act_read;
        assign weight = weight_read;
    end

    for (genvar p = 0; p < PE; p++) begin : g_lane
        wire logic [WEIGHT_BITS-1:0] w = weight[p*WEIGHT_BITS +: WEIGHT_BITS];
        wire logic [ACT_BITS-1:0] a = act[p*ACT_BITS +: ACT_BITS];

        if (USE_DSP) begin : g_dsp
            wire logic signed [ACT_BITS:0] wide = {ACT_SIGNED && a[ACT_BITS-1], a};
            (* use_dsp = "yes" *) logic signed [PRODUCT_BITS-1:0] product;
            always_ff @(posedge clk)
                if (enable) product <= PRODUCT_BITS'($signed(w) * wide);
            assign products[p*PRODUCT_BITS +: PRODUCT_BITS] = product;
        end else begin : g_lut
            lf_product #(
                .WEIGHT_BITS(WEIGHT_BITS), .ACT_BITS(ACT_BITS), .ACT_SIGNED(ACT_SIGNED)
            ) u_product (
                .clk(clk), .enable(enable), .weight(w), .act(a),
                .product(products[p*PRODUCT_BITS +: PRODUCT_BITS])
            );
        end
    end

    lf_reduce #(
        .FOLDS(FOLDS), .TAPS(TAPS), .PE(PE), .BITS(PRODUCT_BITS), .SIGNED(1'b1), .MAXIMUM(1'b0),
        .OUT_BITS(ACC_BITS)
    ) u_sum (
        .clk(clk), .rst(rst),
        .s_axis_tdata(products), .s_axis_tvalid(valids[LATENCY-1]), .s_axis_tready(taken),
        .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
    );
endmodule

`default_nettype wire
