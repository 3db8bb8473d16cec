// out = table[x], in every lane by LUTs of its own, with a register behind them.
`default_nettype none

module lf_table #(
    parameter int LANES    = 1,
    parameter int IN_BITS  = 4,
    parameter int OUT_BITS = 4,
    parameter     TABLE    = "table.mem"
) (
    input  wire logic                      clk,
    input  wire logic                      rst,
    input  wire logic [LANES*IN_BITS-1:0]  s_axis_tdata,
    input  wire logic                      s_axis_tvalid,
    output      logic                      s_axis_tready,
    output      logic [LANES*OUT_BITS-1:0] m_axis_tdata,
    output      logic                      m_axis_tvalid,
    input  wire logic                      m_axis_tready
);
    wire logic enable = m_axis_tready || !m_axis_tvalid;

    assign s_axis_tready = enable;

    always_ff @(posedge clk) begin
        if (rst) m_axis_tvalid <= 1'b0;
        else if (enable) m_axis_tvalid <= s_axis_tvalid;
    end

    for (genvar l = 0; l < LANES; l++) begin : g_lane
        (* ram_style = "logic", rom_style = "distributed" *)
        logic [OUT_BITS-1:0] rom [1 << IN_BITS];
        initial $readmemh(TABLE, rom);

        always_ff @(posedge clk) begin
            if (enable)
                m_axis_tdata[l*OUT_BITS +: OUT_BITS] <= rom[s_axis_tdata[l*IN_BITS +: IN_BITS]];
        end
    end
endmodule

`default_nettype wire
