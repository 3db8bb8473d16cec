// Stands in for fifo.sv where depths are looked for by simulation: a queue that takes a word while
// it holds fewer than `limit`, and gives it a cycle later at the earliest, as the queue of two does.
//
// It counts words and drops what is in them. No kernel's handshakes depend on data, so that cycles
// stay what they are, and the simulator is compiled without the arithmetic that nobody reads.
`default_nettype none

module lf_fifo #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 2
) (
    input  wire logic             clk,
    input  wire logic             rst,
    input  wire logic [WIDTH-1:0] s_axis_tdata,
    input  wire logic             s_axis_tvalid,
    output      logic             s_axis_tready,
    output      logic [WIDTH-1:0] m_axis_tdata,
    output      logic             m_axis_tvalid,
    input  wire logic             m_axis_tready,
    output      logic [31:0]      count_now,
    output      logic [31:0]      maxcount,
    input  wire logic [31:0]      limit
);
    wire logic push = s_axis_tvalid && s_axis_tready;
    wire logic pop = m_axis_tvalid && m_axis_tready;

    // Kept from the reset on: an input that never changes would be worked out again every cycle.
    logic [31:0] depth;
    always_ff @(posedge clk) if (rst) depth <= limit;

    assign s_axis_tready = count_now < depth;
    assign m_axis_tvalid = count_now != 0;
    assign m_axis_tdata = '0;

    always_ff @(posedge clk) begin
        if (rst) begin
            count_now <= '0;
            maxcount  <= '0;
        end else begin
            count_now <= count_now + 32'(push) - 32'(pop);
            if (count_now > maxcount) maxcount <= count_now;
        end
    end
endmodule

`default_nettype wire
