// Holds all outputs of one frame, so that the accelerator is never held up by the serial line and
// an answer is begun only when it is known to be whole.
//
// Beats go in after `start`, one a cycle; `done` is high with the last. They come out as bytes, as
// lf_frame_buffer takes them in: little-endian, ceil(WIDTH / 8) to a beat, padding bits at the top.
// `read_start` asks for the first byte, `read_next` for the next; each is there five cycles later.
module lf_result_buffer #(
    parameter int WIDTH = 4,
    parameter int BEATS = 1
) (
    input  logic             clk,

    input  logic             start,
    input  logic [WIDTH-1:0] write_data,
    input  logic             write_valid,
    output logic             done,

    input  logic             read_start,
    input  logic             read_next,
    output logic [7:0]       read_data
);
    localparam int BYTES        = (WIDTH + 7) / 8;
    localparam int BYTE_BITS    = BYTES > 1 ? $clog2(BYTES) : 1;
    localparam int ADDRESS_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam logic [BYTE_BITS-1:0]    LAST_BYTE = BYTE_BITS'(BYTES - 1);
    localparam logic [ADDRESS_BITS-1:0] LAST_BEAT = ADDRESS_BITS'(BEATS - 1);

    logic [ADDRESS_BITS-1:0] write_address;
    logic [ADDRESS_BITS-1:0] read_address;
    logic [BYTE_BITS-1:0]    byte_index;
    logic [WIDTH-1:0]        fetched;
    logic [8*BYTES-1:0]      word;
    logic [3:0]              fetching;
    wire                     last_byte = byte_index == LAST_BYTE;

    assign done      = write_valid && write_address == LAST_BEAT;
    assign read_data = word[7:0];

    lf_frame_memory #(.WIDTH(WIDTH), .WORDS(BEATS)) memory (
        .clk, .write_enable(write_valid), .write_address, .write_data,
        .read_enable(1'b1), .read_address, .read_data(fetched)
    );

    always_ff @(posedge clk) begin
        if (write_valid) write_address <= write_address + 1'b1;
        if (start) write_address <= '0;

        fetching <= {fetching[2:0], read_start || (read_next && last_byte)};
        if (fetching[3]) word <= (8*BYTES)'(fetched);
        else if (read_next) word <= word >> 8;

        if (read_next) begin
            byte_index <= last_byte ? '0 : byte_index + 1'b1;
            if (last_byte) read_address <= read_address + 1'b1;
        end
        if (read_start) begin
            byte_index   <= '0;
            read_address <= '0;
        end
    end
endmodule
