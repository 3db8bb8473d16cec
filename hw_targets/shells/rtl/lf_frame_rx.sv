// Takes host frames apart: 0xA5, command, length (16 bit), payload, CRC-16; see docs/protocol.md.
//
// Payload bytes pass out as they come; whether they were good is known only with `frame_valid`,
// so whoever stores them must not act before. `frame_valid` stays up, with command and status,
// until `frame_ready`. Bytes that arrive in the meantime are lost, and make an overrun frame next.
module lf_frame_rx #(
    parameter int INFER_LENGTH = 64,  // payload bytes of an infer frame
    parameter int TIMEOUT_LOG2 = 20   // cycles without a byte before a started frame is given up
) (
    input  logic       clk,
    input  logic       rst,
    input  logic [7:0] rx_data,
    input  logic       rx_valid,

    output logic       payload_start,
    output logic [7:0] payload_data,
    output logic       payload_valid,

    output logic       frame_valid,
    output logic [7:0] frame_command,
    output logic [7:0] frame_status,
    input  logic       frame_ready
);
    import lf_protocol::*;

    typedef enum logic [2:0] {HUNT, COMMAND, LENGTH_LOW, LENGTH_HIGH, PAYLOAD, CRC_LOW, CRC_HIGH, HELD} state_t;

    state_t      state;
    logic [15:0] length;
    logic [15:0] left;
    logic [15:0] crc;
    logic [15:0] crc_next;
    logic [7:0]  crc_low;
    logic        overrun;
    logic [TIMEOUT_LOG2-1:0] idle;

    lf_crc16 checksum (.crc(crc), .data(rx_data), .next(crc_next));

    wire in_frame = state != HUNT && state != HELD;
    wire expired  = in_frame && idle == '1;

    assign payload_start = state == LENGTH_HIGH;
    assign payload_data  = rx_data;
    assign payload_valid = rx_valid && state == PAYLOAD && frame_command == INFER;
    assign frame_valid   = state == HELD;

    function automatic logic [7:0] verdict(input logic [7:0] command, input logic [15:0] bytes);
        case (command)
            INFER:    return bytes == 16'(INFER_LENGTH) ? OK : BAD_LENGTH;
            IDENTIFY: return bytes == 16'd0 ? OK : BAD_LENGTH;
            default:  return UNKNOWN_COMMAND;
        endcase
    endfunction

    always_ff @(posedge clk) begin
        idle <= rx_valid ? '0 : idle + 1'b1;

        if (rx_valid && in_frame) begin
            crc <= crc_next;
        end

        case (state)
            HUNT: begin
                crc <= 16'hFFFF;
                if (rx_valid && rx_data == SYNC_HOST) state <= COMMAND;
            end
            COMMAND: if (rx_valid) begin
                frame_command <= rx_data;
                state         <= LENGTH_LOW;
            end
            LENGTH_LOW: if (rx_valid) begin
                length[7:0] <= rx_data;
                state       <= LENGTH_HIGH;
            end
            LENGTH_HIGH: if (rx_valid) begin
                length[15:8] <= rx_data;
                left         <= {rx_data, length[7:0]};
                state        <= {rx_data, length[7:0]} == '0 ? CRC_LOW : PAYLOAD;
            end
            PAYLOAD: if (rx_valid) begin
                left <= left - 1'b1;
                if (left == 16'd1) state <= CRC_LOW;
            end
            CRC_LOW: if (rx_valid) begin
                crc     <= crc;
                crc_low <= rx_data;
                state   <= CRC_HIGH;
            end
            CRC_HIGH: if (rx_valid) begin
                frame_status <= {rx_data, crc_low} == crc ? verdict(frame_command, length) : BAD_CRC;
                state        <= HELD;
            end
            HELD: begin
                if (rx_valid) overrun <= 1'b1;
                if (frame_ready) begin
                    overrun <= 1'b0;
                    if (overrun || rx_valid) begin
                        frame_command <= 8'd0;
                        frame_status  <= OVERRUN;
                    end else begin
                        state <= HUNT;
                    end
                end
            end
        endcase

        if (expired && !rx_valid) begin
            frame_status <= TIMEOUT;
            state        <= HELD;
        end
        if (state == HUNT) overrun <= 1'b0;
        if (rst) begin
            state   <= HUNT;
            overrun <= 1'b0;
        end
    end
endmodule
