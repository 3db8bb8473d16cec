// Board-independent shell: serial line in, accelerator stream out, and the answers back.
//
// One frame at a time: receive, run, reply. `accel_rst` also resets the accelerator when it gave
// no result in time, so that one lost beat can't shift all classes after it by one.
module lf_shell #(
    parameter int           DIVIDER          = 50,   // clock cycles a bit of the serial line
    parameter int           IN_WIDTH         = 8,    // bits a beat of the accelerator's input
    parameter int           IN_BEATS         = 64,   // beats a frame
    parameter int           OUT_WIDTH        = 4,    // bits a beat of its output
    parameter int           OUT_BEATS        = 1,    // beats a frame
    parameter int           TIMEOUT_LOG2     = 20,   // log2 of the cycles a started frame may pause
    parameter int           NO_RESULT_LOG2   = 26,   // log2 of the cycles an inference may take
    parameter logic [239:0] IDENTITY         = '0    // payload of the answer to IDENTIFY
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic                 rxd,
    output logic                 txd,
    output logic [15:0]          last_output,

    output logic                 accel_rst,
    output logic [IN_WIDTH-1:0]  m_axis_tdata,
    output logic                 m_axis_tvalid,
    input  logic                 m_axis_tready,
    input  logic [OUT_WIDTH-1:0] s_axis_tdata,
    input  logic                 s_axis_tvalid,
    output logic                 s_axis_tready
);
    import lf_protocol::*;

    logic [7:0] rx_data, tx_data, payload_data, frame_command, frame_status;
    logic       rx_valid, tx_valid, tx_ready, payload_start, payload_valid, frame_valid, sent;
    logic       start_reply, start_infer;

    lf_uart_rx #(.DIVIDER(DIVIDER)) uart_rx (
        .clk, .rst, .rxd, .data(rx_data), .valid(rx_valid)
    );
    lf_uart_tx #(.DIVIDER(DIVIDER)) uart_tx (
        .clk, .rst, .data(tx_data), .valid(tx_valid), .ready(tx_ready), .txd
    );
    lf_frame_rx #(
        .INFER_LENGTH((IN_WIDTH + 7) / 8 * IN_BEATS), .TIMEOUT_LOG2(TIMEOUT_LOG2)
    ) frame_rx (
        .clk, .rst, .rx_data, .rx_valid,
        .payload_start, .payload_data, .payload_valid,
        .frame_valid, .frame_command, .frame_status, .frame_ready(sent)
    );
    lf_frame_buffer #(.WIDTH(IN_WIDTH), .BEATS(IN_BEATS)) frame_buffer (
        .clk, .rst(accel_rst),
        .write_start(payload_start), .write_data(payload_data), .write_valid(payload_valid),
        .start(start_infer), .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
    );

    typedef enum logic [1:0] {REST, START, RUN, REPLY} state_t;

    state_t      state;
    logic [31:0] cycles;
    logic        counting;
    logic [NO_RESULT_LOG2-1:0] patience;
    logic [7:0]  status, output_byte;
    logic [15:0] length, payload_index;
    logic        identify, payload_next, whole;

    localparam int OUT_BYTES = (OUT_WIDTH + 7) / 8 * OUT_BEATS;

    assign start_infer   = state == START;
    assign s_axis_tready = state == RUN;

    wire taken     = s_axis_tvalid && s_axis_tready;
    wire in_output = payload_index >= 16'(LATENCY_BYTES);

    lf_result_buffer #(.WIDTH(OUT_WIDTH), .BEATS(OUT_BEATS)) result_buffer (
        .clk, .start(start_infer),
        .write_data(s_axis_tdata), .write_valid(taken), .done(whole),
        .read_start(start_reply), .read_next(payload_next && in_output), .read_data(output_byte)
    );

    always_ff @(posedge clk) begin
        start_reply <= 1'b0;
        accel_rst   <= rst;
        patience    <= state == RUN ? patience + 1'b1 : '0;
        // Counted like the RTL simulation does: from the first beat in to the last one out, both
        // included.
        if (state == START) cycles <= 32'd1;
        else if (counting) cycles <= cycles + 1'b1;
        if (m_axis_tvalid && m_axis_tready && state == RUN) counting <= 1'b1;

        case (state)
            REST: begin
                status   <= frame_status;
                identify <= frame_command == IDENTIFY;
                length   <= 16'd0;
                if (frame_valid) begin
                    if (frame_status == OK && frame_command == INFER) begin
                        state <= START;
                    end else begin
                        state       <= REPLY;
                        start_reply <= 1'b1;
                        if (frame_status == OK) length <= 16'(IDENTIFY_REPLY);
                    end
                end
            end
            START: begin
                counting <= 1'b0;
                state    <= RUN;
            end
            RUN: begin
                if (taken) last_output <= 16'(s_axis_tdata);
                if (whole) begin
                    counting    <= 1'b0;
                    length      <= 16'(LATENCY_BYTES + OUT_BYTES);
                    state       <= REPLY;
                    start_reply <= 1'b1;
                end else if (patience == '1) begin
                    accel_rst   <= 1'b1;
                    status      <= NO_RESULT;
                    state       <= REPLY;
                    start_reply <= 1'b1;
                end
            end
            default: if (sent) state <= REST;
        endcase

        if (rst) begin
            state       <= REST;
            last_output <= '0;
            counting    <= 1'b0;
        end
    end

    wire [7:0] identity_byte = IDENTITY[8*payload_index[4:0] +: 8];
    wire [7:0] cycles_byte   = cycles[8*payload_index[1:0] +: 8];

    lf_frame_tx frame_tx (
        .clk, .rst, .start(start_reply), .done(sent),
        .command(frame_command), .status, .length,
        .payload_index, .payload_next,
        .payload_data(identify ? identity_byte : in_output ? output_byte : cycles_byte),
        .tx_data, .tx_valid, .tx_ready
    );
endmodule
