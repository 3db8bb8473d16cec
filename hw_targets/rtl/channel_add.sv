// out = (x << SHIFT) + bias[channel], two pipeline stages: read the constants, add.
`default_nettype none

module lf_channel_add #(
    parameter int PE        = 1,
    parameter int FOLDS     = 1,
    parameter int IN_BITS   = 8,
    parameter bit IN_SIGNED = 1,
    parameter int BIAS_BITS = 8,
    parameter int OUT_BITS  = 9,
    parameter int SHIFT     = 0,
    parameter     BIAS      = "bias.mem"
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
    localparam int FOLD_BITS = FOLDS > 1 ? $clog2(FOLDS) : 1;

    logic [PE*BIAS_BITS-1:0] rom [FOLDS];
    initial $readmemh(BIAS, rom);

    logic [FOLD_BITS-1:0]    fold;
    logic [PE*BIAS_BITS-1:0] bias;
    logic [PE*IN_BITS-1:0]   value;
    logic                    valid;

    wire logic enable = m_axis_tready || !m_axis_tvalid;

    assign s_axis_tready = enable;

    always_ff @(posedge clk) begin
        if (enable) begin
            bias  <= rom[fold];
            value <= s_axis_tdata;
        end
        if (rst) begin
            fold          <= '0;
            valid         <= 1'b0;
            m_axis_tvalid <= 1'b0;
        end else if (enable) begin
            if (s_axis_tvalid) fold <= fold == FOLD_BITS'(FOLDS - 1) ? '0 : fold + 1'b1;
            valid         <= s_axis_tvalid;
            m_axis_tvalid <= valid;
        end
    end

    for (genvar p = 0; p < PE; p++) begin : g_lane
        wire logic signed [BIAS_BITS-1:0] b = bias[p*BIAS_BITS +: BIAS_BITS];
        wire logic signed [IN_BITS:0] x =
            {IN_SIGNED && value[p*IN_BITS + IN_BITS - 1], value[p*IN_BITS +: IN_BITS]};

        always_ff @(posedge clk) begin
            if (enable) m_axis_tdata[p*OUT_BITS +: OUT_BITS] <= (OUT_BITS'(x) << SHIFT) + OUT_BITS'(b);
        end
    end
endmodule

`default_nettype wire
