// IN_LANES to OUT_LANES elements a beat, element 0 in the low bits. One count divides the other.
`default_nettype none

module lf_width_converter #(
    parameter int IN_LANES  = 1,
    parameter int OUT_LANES = 4,
    parameter int BITS      = 4,
    localparam int IN_WIDTH  = IN_LANES * BITS,
    localparam int OUT_WIDTH = OUT_LANES * BITS
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
    if (IN_LANES == OUT_LANES) begin : g_wire
        assign m_axis_tdata  = s_axis_tdata;
        assign m_axis_tvalid = s_axis_tvalid;
        assign s_axis_tready = m_axis_tready;
    end else if (IN_LANES < OUT_LANES) begin : g_up
        // The word shifts in from the top, so that its registers need no multiplexer.
        localparam int RATIO = OUT_LANES / IN_LANES;
        localparam int COUNT = $clog2(RATIO);

        logic [COUNT-1:0] left;

        wire logic push = s_axis_tvalid && s_axis_tready;

        assign s_axis_tready = !m_axis_tvalid || m_axis_tready;

        always_ff @(posedge clk) begin
            if (push) m_axis_tdata <= {s_axis_tdata, m_axis_tdata[OUT_WIDTH-1:IN_WIDTH]};
            if (rst) begin
                left          <= COUNT'(RATIO - 1);
                m_axis_tvalid <= 1'b0;
            end else begin
                if (push) left <= left == '0 ? COUNT'(RATIO - 1) : left - 1'b1;
                if (s_axis_tready) m_axis_tvalid <= s_axis_tvalid && left == '0;
            end
        end
    end else begin : g_down
        localparam int RATIO = IN_LANES / OUT_LANES;
        localparam int COUNT = $clog2(RATIO);

        logic [IN_WIDTH-1:0] word;
        logic [COUNT-1:0]    left;
        logic                last;

        assign s_axis_tready = !m_axis_tvalid || (m_axis_tready && last);
        assign m_axis_tdata  = word[OUT_WIDTH-1:0];

        always_ff @(posedge clk) begin
            if (s_axis_tready) word <= s_axis_tdata;
            else if (m_axis_tready) word <= word >> OUT_WIDTH;
            if (rst) begin
                left          <= COUNT'(RATIO - 1);
                last          <= 1'b0;
                m_axis_tvalid <= 1'b0;
            end else if (s_axis_tready) begin
                left          <= COUNT'(RATIO - 1);
                last          <= 1'b0;
                m_axis_tvalid <= s_axis_tvalid;
            end else if (m_axis_tready) begin
                left <= left - 1'b1;
                last <= left == COUNT'(1);
            end
        end
    end
endmodule

`default_nettype wire
