// Sends a reply frame: 0x5A, command, status, length (16 bit), payload, CRC-16.
//
// `start` takes command, status and length, which must then hold until `done`, a pulse that comes
// when the last byte has left the line: the board is ready for the next frame then. The payload is
// asked for byte by byte: `payload_data` has eight cycles to follow `payload_index`, which counts up
// with every `payload_next`.
module lf_frame_tx (
    input  logic        clk,
    input  logic        rst,

    input  logic        start,
    output logic        done,
    input  logic [7:0]  command,
    input  logic [7:0]  status,
    input  logic [15:0] length,

    output logic [15:0] payload_index,
    output logic        payload_next,
    input  logic [7:0]  payload_data,

    output logic [7:0]  tx_data,
    output logic        tx_valid,
    input  logic        tx_ready
);
    import lf_protocol::*;

    typedef enum logic [3:0] {
        REST, SYNC, COMMAND, STATUS, LENGTH_LOW, LENGTH_HIGH, PAYLOAD, CRC_LOW, CRC_HIGH, DRAIN
    } state_t;

    state_t      state;
    logic [15:0] crc;
    logic [15:0] crc_next;
    logic [15:0] left;  // bytes of the payload not yet sent

    lf_crc16 checksum (.crc(crc), .data(tx_data), .next(crc_next));

    wire sent = tx_valid && tx_ready;

    assign tx_valid     = state != REST && state != DRAIN;
    assign done         = state == DRAIN && tx_ready;
    assign payload_next = state == PAYLOAD && sent;

    always_comb begin
        case (state)
            SYNC:        tx_data = SYNC_BOARD;
            COMMAND:     tx_data = command;
            STATUS:      tx_data = status;
            LENGTH_LOW:  tx_data = length[7:0];
            LENGTH_HIGH: tx_data = length[15:8];
            CRC_LOW:     tx_data = crc[7:0];
            CRC_HIGH:    tx_data = crc[15:8];
            default:     tx_data = payload_data;
        endcase
    end

    always_ff @(posedge clk) begin
        if (sent) begin
            if (state == SYNC) crc <= 16'hFFFF;
            else if (state != CRC_LOW) crc <= crc_next;
        end
        case (state)
            REST:       if (start) state <= SYNC;
            SYNC: begin
                payload_index <= '0;
                left <= length;
                if (sent) state <= COMMAND;
            end
            COMMAND:    if (sent) state <= STATUS;
            STATUS:     if (sent) state <= LENGTH_LOW;
            LENGTH_LOW: if (sent) state <= LENGTH_HIGH;
            LENGTH_HIGH: if (sent) state <= left == '0 ? CRC_LOW : PAYLOAD;
            PAYLOAD: if (sent) begin
                payload_index <= payload_index + 1'b1;
                left <= left - 1'b1;
                if (left == 16'd1) state <= CRC_LOW;
            end
            CRC_LOW:    if (sent) state <= CRC_HIGH;
            CRC_HIGH:   if (sent) state <= DRAIN;
            default:    if (tx_ready) state <= REST;
        endcase
        if (rst) state <= REST;
    end
endmodule
