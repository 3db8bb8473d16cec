// Depthwise convolution: PE channels times their weights of one tap a clock cycle, then sums over
// TAPS (`lf_reduce`).
//
// Weights stream from a ROM, word tap*FOLDS + fold.
// Stages: read (one to four, see lf_rom) | multiply | accumulate.
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
    // Of the weights' memory, see lf_rom.
    parameter int ROM_BANKS   = 0,
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
    // Clock cycles from an address to weights; a multiplier, far from block RAM, has a register.
    localparam int READ =
        ROM_BANKS > 4 ? 4 : ROM_BANKS > 1 ? 3 : ROM_BANKS > 0 ? (USE_DSP ? 3 : 2) : 1;
    // Diagonals of two-bit digits, see lf_product.
    localparam int DIAGONALS = (WEIGHT_BITS + 1) / 2 + (ACT_BITS + 1) / 2 - 1;
    localparam int MULTIPLY = USE_DSP || DIAGONALS <= 2 ? 1 : $clog2(DIAGONALS);
    localparam int LATENCY = READ + MULTIPLY;
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

    // Weights, and activations that wait for them.
    logic [ADDR-1:0]             addr;
    logic [ROM_WIDTH-1:0]        weight_read, weight;
    logic [READ:0][IN_WIDTH-1:0] acts;

    always_ff @(posedge clk) begin
        if (rst) addr <= '0;
        else if (enable && s_axis_tvalid) addr <= addr == ADDR'(WORDS - 1) ? '0 : addr + 1'b1;
    end

    lf_rom #(.WIDTH(ROM_WIDTH), .DEPTH(WORDS), .BANKS(ROM_BANKS), .WORDS(WEIGHTS)) u_weights (
        .clk(clk), .enable(enable), .addr(addr), .data(weight_read)
    );
    if (USE_DSP && ROM_BANKS == 1) begin : g_far
        always_ff @(posedge clk) if (enable) weight <= weight_read;
    end else begin : g_near
        assign weight = weight_read;
    end

    assign acts[0] = s_axis_tdata;
    for (genvar r = 1; r <= READ; r++) begin : g_wait
        always_ff @(posedge clk) if (enable) acts[r] <= acts[r-1];
    end
    wire logic [IN_WIDTH-1:0] act = acts[READ];

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
