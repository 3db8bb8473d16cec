// Sends a reply frame: 0x5A, command, status, length (8 bit), payload, CRC-16.
//
// `start` takes command, status, length and payload, which must then hold until `done`, a pulse
// that comes when the last byte has left the line: the board is ready for the next frame then.
module lf_frame_tx #(
    parameter int PAYLOAD_BYTES = 20
) (
    input  logic                       clk,
    input  logic                       rst,

    input  logic                       start,
    output logic                       done,
    input  logic [7:0]                 command,
    input  logic [7:0]                 status,
    input  logic [7:0]                 length,
    input  logic [8*PAYLOAD_BYTES-1:0] payload,

    output logic [7:0]                 tx_data,
    output logic                       tx_valid,
    input  logic                       tx_ready
);
    import lf_protocol::*;

    localparam int INDEX_BITS = $clog2(PAYLOAD_BYTES);

    typedef enum logic [3:0] {REST, SYNC, COMMAND, STATUS, LENGTH, PAYLOAD, CRC_LOW, CRC_HIGH, DRAIN} state_t;

    state_t      state;
    logic [15:0] crc;
    logic [15:0] crc_next;
    logic [INDEX_BITS-1:0] index;

    lf_crc16 checksum (.crc(crc), .data(tx_data), .next(crc_next));

    wire sent       = tx_valid && tx_ready;
    wire last_byte  = 8'(index) + 8'd1 == length;

    assign tx_valid = state != REST && state != DRAIN;
    assign done     = state == DRAIN && tx_ready;

    always_comb begin
        case (state)
            SYNC:     tx_data = SYNC_BOARD;
            COMMAND:  tx_data = command;
            STATUS:   tx_data = status;
            LENGTH:   tx_data = length;
            CRC_LOW:  tx_data = crc[7:0];
            CRC_HIGH: tx_data = crc[15:8];
            default:  tx_data = payload[8*index +: 8];
        endcase
    end

    always_ff @(posedge clk) begin
        if (sent) begin
            if (state == SYNC) crc <= 16'hFFFF;
            else if (state != CRC_LOW) crc <= crc_next;
        end
        case (state)
            REST:     if (start) state <= SYNC;
            SYNC:     if (sent) state <= COMMAND;
            COMMAND:  if (sent) state <= STATUS;
            STATUS:   if (sent) state <= LENGTH;
            LENGTH: begin
                index <= '0;
                if (sent) state <= length == '0 ? CRC_LOW : PAYLOAD;
            end
            PAYLOAD: if (sent) begin
                index <= index + 1'b1;
                if (last_byte) state <= CRC_LOW;
            end
            CRC_LOW:  if (sent) state <= CRC_HIGH;
            CRC_HIGH: if (sent) state <= DRAIN;
            default:  if (tx_ready) state <= REST;
        endcase
        if (rst) state <= REST;
    end
endmodule
