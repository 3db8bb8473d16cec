// Holds one whole input frame, so that the accelerator only ever sees frames with a good checksum.
//
// Bytes go in little-endian, ceil(WIDTH / 8) to a beat, the beat's padding bits at the top. After
// `start` the beats come out, one a cycle as long as the accelerator takes them.
module lf_frame_buffer #(
    parameter int WIDTH = 8,
    parameter int BEATS = 64
) (
    input  logic             clk,
    input  logic             rst,

    input  logic             write_start,
    input  logic [7:0]       write_data,
    input  logic             write_valid,

    input  logic             start,
    output logic [WIDTH-1:0] m_axis_tdata,
    output logic             m_axis_tvalid,
    input  logic             m_axis_tready
);
    localparam int BYTES        = (WIDTH + 7) / 8;
    localparam int BYTE_BITS    = BYTES > 1 ? $clog2(BYTES) : 1;
    localparam int ADDRESS_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam logic [BYTE_BITS-1:0]    LAST_BYTE = BYTE_BITS'(BYTES - 1);
    localparam logic [ADDRESS_BITS-1:0] LAST_BEAT = ADDRESS_BITS'(BEATS - 1);

    logic [8*BYTES-1:0]      word;
    logic [BYTE_BITS-1:0]    byte_index;
    logic [ADDRESS_BITS-1:0] write_address;
    logic                    full;
    wire                     write_enable = write_valid && byte_index == LAST_BYTE && !full;

    if (BYTES == 1) begin : g_one_byte
        assign word = write_data;
    end else begin : g_many_bytes
        logic [8*(BYTES-1)-1:0] low;
        always_ff @(posedge clk)
            if (write_valid) low <= word[8*BYTES-1:8];
        assign word = {write_data, low};
    end

    always_ff @(posedge clk) begin
        if (write_valid) byte_index <= byte_index == LAST_BYTE ? '0 : byte_index + 1'b1;
        if (write_enable) begin
            write_address <= write_address + 1'b1;
            full          <= write_address == LAST_BEAT;
        end
        if (write_start) begin
            byte_index    <= '0;
            write_address <= '0;
            full          <= 1'b0;
        end
    end

    logic [ADDRESS_BITS-1:0] read_address;
    logic                    reading;
    logic [1:0]              fetching;
    wire                     advance = !m_axis_tvalid || m_axis_tready;

    lf_frame_memory #(.WIDTH(WIDTH), .WORDS(BEATS)) memory (
        .clk, .write_enable, .write_address, .write_data(word[WIDTH-1:0]),
        .read_enable(advance), .read_address, .read_data(m_axis_tdata)
    );

    always_ff @(posedge clk) begin
        if (advance) begin
            {m_axis_tvalid, fetching} <= {fetching, reading};
            if (reading) begin
                read_address <= read_address + 1'b1;
                if (read_address == LAST_BEAT) reading <= 1'b0;
            end
        end
        if (start) begin
            read_address <= '0;
            reading      <= 1'b1;
        end
        if (rst) begin
            reading       <= 1'b0;
            fetching      <= '0;
            m_axis_tvalid <= 1'b0;
        end
    end
endmodule
