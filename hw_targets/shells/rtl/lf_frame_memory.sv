// A frame's memory: WORDS words, one written and one read a clock cycle.
//
// The word of `read_address` is there three cycles of `read_enable` later: block RAM answers late in
// the cycle, so a register follows; a frame larger than a block RAM lies in banks, all of which are
// read, and one is chosen behind that register. What is read in the cycle that writes its word is
// undefined: both users read a frame only once all of it is written.
module lf_frame_memory #(
    parameter int WIDTH = 8,
    parameter int WORDS = 64,
    localparam int ADDRESS_BITS = WORDS > 1 ? $clog2(WORDS) : 1
) (
    input  logic                    clk,

    input  logic                    write_enable,
    input  logic [ADDRESS_BITS-1:0] write_address,
    input  logic [WIDTH-1:0]        write_data,

    input  logic                    read_enable,
    input  logic [ADDRESS_BITS-1:0] read_address,
    output logic [WIDTH-1:0]        read_data
);
    localparam int BLOCK_BITS = 11;  // of the address: bytes in a block RAM of 18 kbit
    localparam int BLOCK      = 2**BLOCK_BITS;
    localparam int BANKS      = (WORDS + BLOCK - 1) / BLOCK;

    logic [BANKS-1:0][WIDTH-1:0] words;

    for (genvar bank = 0; bank < BANKS; bank++) begin : g_bank
        localparam int DEPTH = bank == BANKS - 1 ? WORDS - bank * BLOCK : BLOCK;
        localparam int BITS  = DEPTH > 1 ? $clog2(DEPTH) : 1;

        // `no_rw_check` tells Yosys so: else it puts a multiplexer before the register.
        (* no_rw_check *) logic [WIDTH-1:0] memory [DEPTH];
        logic [WIDTH-1:0] word;
        logic             chosen;

        if (BANKS == 1) assign chosen = 1'b1;
        else assign chosen = 32'(write_address[ADDRESS_BITS-1:BLOCK_BITS]) == bank;

        always_ff @(posedge clk) begin
            if (write_enable && chosen) memory[write_address[BITS-1:0]] <= write_data;
            if (read_enable) begin
                word        <= memory[read_address[BITS-1:0]];
                words[bank] <= word;
            end
        end
    end

    if (BANKS == 1) begin : g_one_bank
        always_ff @(posedge clk) if (read_enable) read_data <= words[0];
    end else begin : g_banks
        logic [ADDRESS_BITS-1:BLOCK_BITS] bank_read, bank;
        always_ff @(posedge clk) begin
            if (read_enable) begin
                bank_read <= read_address[ADDRESS_BITS-1:BLOCK_BITS];
                bank      <= bank_read;
                read_data <= words[bank];
            end
        end
    end
endmodule
