// Beats of the accelerator in, words of a DMA out.
//
// A beat takes BEAT_BYTES of memory, a power of two, zeros above its WIDTH bits. The packet ends
// with the word of the beat that comes with `s_axis_tlast`, which keeps the bytes it has.
module lf_dma_out #(
    parameter int WORD_BYTES = 4,    // bytes a word of the DMA, a power of two
    parameter int BEAT_BYTES = 1,    // bytes a beat in memory
    parameter int WIDTH      = 8     // bits a beat
) (
    input  logic                    clk,
    input  logic                    rst,

    input  logic [WIDTH-1:0]        s_axis_tdata,
    input  logic                    s_axis_tlast,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,

    output logic [8*WORD_BYTES-1:0] m_axis_tdata,
    output logic [WORD_BYTES-1:0]   m_axis_tkeep,
    output logic                    m_axis_tlast,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready
);
    wire [8*BEAT_BYTES-1:0] beat = (8*BEAT_BYTES)'(s_axis_tdata);
    wire take = s_axis_tvalid && s_axis_tready;
    wire give = m_axis_tvalid && m_axis_tready;

    if (WORD_BYTES > BEAT_BYTES) begin : g_narrow
        localparam int RATIO      = WORD_BYTES / BEAT_BYTES;
        localparam int INDEX_BITS = $clog2(RATIO);
        localparam logic [INDEX_BITS-1:0] LAST_SLOT = INDEX_BITS'(RATIO - 1);

        logic [INDEX_BITS-1:0] slot;
        logic [RATIO-1:0]      filled;

        for (genvar i = 0; i < RATIO; i++) begin : g_keep
            assign m_axis_tkeep[BEAT_BYTES*i +: BEAT_BYTES] = {BEAT_BYTES{filled[i]}};
        end
        assign s_axis_tready = !m_axis_tvalid || m_axis_tready;

        always_ff @(posedge clk) begin
            if (give) begin
                m_axis_tvalid <= 1'b0;
                m_axis_tdata  <= '0;
                filled        <= '0;
            end
            if (take) begin
                m_axis_tdata[8*BEAT_BYTES*slot +: 8*BEAT_BYTES] <= beat;
                filled[slot]  <= 1'b1;
                slot          <= (slot == LAST_SLOT || s_axis_tlast) ? '0 : slot + 1'b1;
                m_axis_tvalid <= slot == LAST_SLOT || s_axis_tlast;
                m_axis_tlast  <= s_axis_tlast;
            end
            if (rst) begin
                m_axis_tvalid <= 1'b0;
                m_axis_tdata  <= '0;
                filled        <= '0;
                slot          <= '0;
            end
        end
    end else begin : g_wide
        localparam int RATIO = BEAT_BYTES / WORD_BYTES;

        logic [8*BEAT_BYTES-1:0] held;
        logic [RATIO-1:0]        more;   // words after the lowest, one bit each from the lowest on
        logic                    ending;
        wire only = !more[0];

        assign m_axis_tdata  = held[8*WORD_BYTES-1:0];
        assign m_axis_tkeep  = '1;
        assign m_axis_tlast  = ending && only;
        assign s_axis_tready = !m_axis_tvalid || (only && m_axis_tready);

        always_ff @(posedge clk) begin
            if (take) begin
                held          <= beat;
                more          <= {RATIO{1'b1}} >> 1;
                ending        <= s_axis_tlast;
                m_axis_tvalid <= 1'b1;
            end else if (give) begin
                held          <= held >> (8 * WORD_BYTES);
                more          <= more >> 1;
                m_axis_tvalid <= !only;
            end
            if (rst) m_axis_tvalid <= 1'b0;
        end
    end
endmodule
