// Between the streams of a DMA and those of the accelerator.
//
// A packet in is any number of whole frames; the packet out is their answers. Packets do not
// overlap, frames within one do: the last answer is known by counting the frames under way.
module lf_dma_shell #(
    parameter int IN_WORD_BYTES  = 4,    // bytes a word of the DMA, powers of two
    parameter int IN_BEAT_BYTES  = 1,    // bytes a beat in memory, powers of two
    parameter int IN_WIDTH       = 8,    // bits a beat of the accelerator
    parameter int IN_BEATS       = 64,   // beats a frame
    parameter int OUT_WORD_BYTES = 4,
    parameter int OUT_BEAT_BYTES = 1,
    parameter int OUT_WIDTH      = 4,
    parameter int OUT_BEATS      = 1
) (
    input  logic                        clk,
    input  logic                        rst,

    input  logic [8*IN_WORD_BYTES-1:0]  s_axis_tdata,
    input  logic [IN_WORD_BYTES-1:0]    s_axis_tkeep,
    input  logic                        s_axis_tlast,
    input  logic                        s_axis_tvalid,
    output logic                        s_axis_tready,
    output logic [8*OUT_WORD_BYTES-1:0] m_axis_tdata,
    output logic [OUT_WORD_BYTES-1:0]   m_axis_tkeep,
    output logic                        m_axis_tlast,
    output logic                        m_axis_tvalid,
    input  logic                        m_axis_tready,

    output logic [IN_WIDTH-1:0]         to_tdata,
    output logic                        to_tvalid,
    input  logic                        to_tready,
    input  logic [OUT_WIDTH-1:0]        from_tdata,
    input  logic                        from_tvalid,
    output logic                        from_tready
);
    localparam int COUNT_BITS = 27;  // a DMA of AMD's sends 2**26 - 1 bytes at most
    localparam int BEAT_BITS  = OUT_BEATS > 1 ? $clog2(OUT_BEATS) : 1;
    localparam logic [BEAT_BITS-1:0] LAST_BEAT = BEAT_BITS'(OUT_BEATS - 1);

    logic frame_in, packet_in, packet_out;

    lf_dma_in #(
        .WORD_BYTES(IN_WORD_BYTES), .BEAT_BYTES(IN_BEAT_BYTES),
        .WIDTH(IN_WIDTH), .BEATS(IN_BEATS)
    ) words_in (
        .clk, .rst,
        .s_axis_tdata, .s_axis_tkeep, .s_axis_tlast, .s_axis_tvalid, .s_axis_tready,
        .m_axis_tdata(to_tdata), .m_axis_tvalid(to_tvalid), .m_axis_tready(to_tready),
        .frame_done(frame_in), .packet_done(packet_in), .next_packet(packet_out)
    );

    // A register of its own, which takes what the accelerator gives without asking for how many
    // frames went in: one whose answer comes with its last beat in would wait for itself.
    logic [OUT_WIDTH-1:0]  answer;
    logic                  answered;
    logic [BEAT_BITS-1:0]  beat;
    logic [COUNT_BITS-1:0] under_way;   // frames that are all in, and not all out
    logic                  closing;     // no frame of the packet is to come
    logic                  out_ready;

    wire frame_end = beat == LAST_BEAT;
    wire known     = !frame_end || under_way != '0;
    wire last      = frame_end && closing && under_way == COUNT_BITS'(1);
    wire give      = answered && known && out_ready;
    wire frame_out = give && frame_end;

    assign from_tready = !answered || give;
    assign packet_out  = give && last;

    always_ff @(posedge clk) begin
        if (from_tready) begin
            answered <= from_tvalid;
            answer   <= from_tdata;
        end
        if (give) beat <= frame_end ? '0 : beat + 1'b1;
        under_way <= under_way + COUNT_BITS'(frame_in) - COUNT_BITS'(frame_out);
        closing   <= (closing || packet_in) && !packet_out;
        if (rst) begin
            answered  <= 1'b0;
            beat      <= '0;
            under_way <= '0;
            closing   <= 1'b0;
        end
    end

    lf_dma_out #(
        .WORD_BYTES(OUT_WORD_BYTES), .BEAT_BYTES(OUT_BEAT_BYTES), .WIDTH(OUT_WIDTH)
    ) words_out (
        .clk, .rst,
        .s_axis_tdata(answer), .s_axis_tlast(last),
        .s_axis_tvalid(answered && known), .s_axis_tready(out_ready),
        .m_axis_tdata, .m_axis_tkeep, .m_axis_tlast, .m_axis_tvalid, .m_axis_tready
    );
endmodule
