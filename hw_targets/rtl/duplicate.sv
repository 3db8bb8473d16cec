// One stream to COPIES takers, each in its own time; a beat leaves when all have taken it.
//
// Wires but for a bit a copy: valid and data come from the stream in and wait for no ready.
`default_nettype none

module lf_duplicate #(
    parameter int WIDTH  = 8,
    parameter int COPIES = 2
) (
    input  wire logic                    clk,
    input  wire logic                    rst,
    input  wire logic [WIDTH-1:0]        s_axis_tdata,
    input  wire logic                    s_axis_tvalid,
    output      logic                    s_axis_tready,
    output      logic [COPIES*WIDTH-1:0] m_axis_tdata,
    output      logic [COPIES-1:0]       m_axis_tvalid,
    input  wire logic [COPIES-1:0]       m_axis_tready
);
    // Who has taken the present beat already.
    logic [COPIES-1:0] taken;

    assign m_axis_tdata  = {COPIES{s_axis_tdata}};
    assign m_axis_tvalid = {COPIES{s_axis_tvalid}} & ~taken;
    assign s_axis_tready = &(taken | m_axis_tready);

    always_ff @(posedge clk) begin
        if (rst) taken <= '0;
        else if (s_axis_tvalid) taken <= s_axis_tready ? '0 : taken | m_axis_tready;
    end
endmodule

`default_nettype wire
