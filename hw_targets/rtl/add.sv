// out = a + b, registered; a beat of each stream is taken together.
`default_nettype none

module lf_add #(
    parameter int LANES  = 1,
    parameter int BITS   = 8,
    parameter bit SIGNED = 1
) (
    input  wire logic                      clk,
    input  wire logic                      rst,
    input  wire logic [2*LANES*BITS-1:0]   s_axis_tdata,
    input  wire logic [1:0]                s_axis_tvalid,
    output      logic [1:0]                s_axis_tready,
    output      logic [LANES*(BITS+1)-1:0] m_axis_tdata,
    output      logic                      m_axis_tvalid,
    input  wire logic                      m_axis_tready
);
    wire logic enable = m_axis_tready || !m_axis_tvalid;
    wire logic both = &s_axis_tvalid;

    assign s_axis_tready = {2{enable && both}};

    always_ff @(posedge clk) begin
        if (rst) m_axis_tvalid <= 1'b0;
        else if (enable) m_axis_tvalid <= both;
    end

    for (genvar p = 0; p < LANES; p++) begin : g_lane
        wire logic [BITS-1:0] a = s_axis_tdata[p*BITS +: BITS];
        wire logic [BITS-1:0] b = s_axis_tdata[(LANES+p)*BITS +: BITS];

        always_ff @(posedge clk) begin
            if (enable) begin
                m_axis_tdata[p*(BITS+1) +: BITS+1] <=
                    {SIGNED && a[BITS-1], a} + {SIGNED && b[BITS-1], b};
            end
        end
    end
endmodule

`default_nettype wire
