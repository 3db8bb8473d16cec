// Words of a DMA in, beats of the accelerator out.
//
// A beat lies in BEAT_BYTES of memory, a power of two, its padding bits at the top. Bytes that a
// packet's last word does not keep count as zeros, and a packet that ends within a frame is
// completed with zeros: what the host sends wrong cannot shift all frames after it. The next
// packet waits until `next_packet`.
module lf_dma_in #(
    parameter int WORD_BYTES = 4,    // bytes a word of the DMA, a power of two
    parameter int BEAT_BYTES = 1,    // bytes a beat in memory
    parameter int WIDTH      = 8,    // bits a beat
    parameter int BEATS      = 64    // beats a frame
) (
    input  logic                    clk,
    input  logic                    rst,

    input  logic [8*WORD_BYTES-1:0] s_axis_tdata,
    input  logic [WORD_BYTES-1:0]   s_axis_tkeep,
    input  logic                    s_axis_tlast,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,

    output logic [WIDTH-1:0]        m_axis_tdata,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready,

    output logic                    frame_done,    // a frame's last beat is taken in this cycle
    output logic                    packet_done,   // which is also that of its packet
    input  logic                    next_packet
);
    localparam int HELD_BYTES = BEAT_BYTES > WORD_BYTES ? BEAT_BYTES : WORD_BYTES;
    localparam int BEAT_BITS  = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam logic [BEAT_BITS-1:0] LAST_BEAT = BEAT_BITS'(BEATS - 1);

    logic [8*WORD_BYTES-1:0] kept;
    for (genvar i = 0; i < WORD_BYTES; i++) begin : g_keep
        assign kept[8*i +: 8] = s_axis_tkeep[i] ? s_axis_tdata[8*i +: 8] : 8'd0;
    end

    logic [8*HELD_BYTES-1:0] held;
    logic                    full;       // `held` has a beat
    logic                    only;       // and none after it
    logic                    ending;     // the packet's last word is in
    logic                    padding;    // its last beat is out, its frame is not whole
    logic [BEAT_BITS-1:0]    beat;

    wire take = s_axis_tvalid && s_axis_tready;
    wire give = m_axis_tvalid && m_axis_tready;
    wire last = beat == LAST_BEAT;

    assign m_axis_tvalid = full || padding;
    assign m_axis_tdata  = held[WIDTH-1:0];
    assign s_axis_tready = !ending && (!full || (only && m_axis_tready));
    assign frame_done    = give && last;
    assign packet_done   = frame_done && ending && (padding || only);

    if (WORD_BYTES > BEAT_BYTES) begin : g_narrow
        localparam int RATIO = WORD_BYTES / BEAT_BYTES;

        // Beats after the lowest that are still held, one bit each from the lowest on.
        logic [RATIO-1:0] more, kept_beats;
        for (genvar i = 0; i < RATIO; i++) begin : g_beats
            assign kept_beats[i] = s_axis_tkeep[BEAT_BYTES * i];
        end
        assign only = !more[0];

        always_ff @(posedge clk) begin
            if (take) begin
                held <= kept;
                more <= kept_beats >> 1;
                full <= 1'b1;
            end else if (give) begin
                held <= held >> (8 * BEAT_BYTES);
                more <= more >> 1;
                full <= full && !only;
            end
            if (rst) full <= 1'b0;
        end
    end else begin : g_wide
        localparam int RATIO      = BEAT_BYTES / WORD_BYTES;
        localparam int INDEX_BITS = RATIO > 1 ? $clog2(RATIO) : 1;
        localparam logic [INDEX_BITS-1:0] LAST_WORD = INDEX_BITS'(RATIO - 1);

        logic [INDEX_BITS-1:0] word;
        assign only = 1'b1;

        always_ff @(posedge clk) begin
            if (give) begin
                held <= '0;
                full <= 1'b0;
            end
            if (take) begin
                held[8*WORD_BYTES*word +: 8*WORD_BYTES] <= kept;
                word <= (word == LAST_WORD || s_axis_tlast) ? '0 : word + 1'b1;
                full <= word == LAST_WORD || s_axis_tlast;
            end
            if (rst) begin
                held <= '0;
                word <= '0;
                full <= 1'b0;
            end
        end
    end

    always_ff @(posedge clk) begin
        if (give) begin
            beat <= last ? '0 : beat + 1'b1;
            padding <= ending && (padding || only) && !last;
        end
        if (take && s_axis_tlast) ending <= 1'b1;
        if (next_packet) ending <= 1'b0;
        if (rst) begin
            beat    <= '0;
            padding <= 1'b0;
            ending  <= 1'b0;
        end
    end
endmodule
