// DEPTH constant words: in logic (BANKS = 0), or in so many banks of block RAM, which are the words'
// parts from the lowest on.
//
// The word of `addr` is there one clock cycle of `enable` later from logic, two from one bank: block
// RAM answers late in the cycle, so that a register follows. Of several banks all are read, and one
// is chosen behind that register: three; of more than GROUP, which lie far apart, one of each GROUP
// first: four. A single word is always there.
`default_nettype none

module lf_rom #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 2,
    parameter int BANKS = 0,
    parameter     WORDS = "rom.mem",
    localparam int ADDR = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  wire logic             clk,
    input  wire logic             enable,
    input  wire logic [ADDR-1:0]  addr,
    output      logic [WIDTH-1:0] data
);
    localparam int LUT_WORDS = 16;  // that any LUT holds, a bit each
    localparam int GROUP = 4;       // banks that a level of LUTs chooses from

    if (DEPTH == 1) begin : g_constant
        logic [WIDTH-1:0] rom [1];
        initial $readmemh(WORDS, rom);
        assign data = rom[0];
    end else if (BANKS == 0 && DEPTH > LUT_WORDS) begin : g_lookup
        logic [WIDTH-1:0] word;
        lf_lookup #(.WIDTH(WIDTH), .DEPTH(DEPTH), .WORDS(WORDS)) lookup (.addr, .data(word));
        always_ff @(posedge clk) if (enable) data <= word;
    end else if (BANKS == 0) begin : g_logic
        (* ram_style = "logic", rom_style = "distributed" *) logic [WIDTH-1:0] rom [DEPTH];
        initial $readmemh(WORDS, rom);
        always_ff @(posedge clk) if (enable) data <= rom[addr];
    end else if (BANKS == 1) begin : g_block
        (* rom_style = "block" *) logic [WIDTH-1:0] rom [DEPTH];
        logic [WIDTH-1:0] read;
        initial $readmemh(WORDS, rom);
        always_ff @(posedge clk) begin
            if (enable) begin
                read <= rom[addr];
                data <= read;
            end
        end
    end else begin : g_banks
        localparam int WORD = $clog2((DEPTH + BANKS - 1) / BANKS);
        (* rom_style = "block" *) logic [BANKS*WIDTH-1:0] rom [2**WORD];
        logic [BANKS-1:0][WIDTH-1:0] read, words;
        logic [ADDR-1:WORD] bank_read, bank;
        initial $readmemh(WORDS, rom);
        always_ff @(posedge clk) begin
            if (enable) begin
                read      <= rom[addr[WORD-1:0]];
                bank_read <= addr[ADDR-1:WORD];
                words     <= read;
                bank      <= bank_read;
            end
        end

        if (BANKS <= GROUP) begin : g_near
            always_ff @(posedge clk) if (enable) data <= words[bank];
        end else begin : g_far
            localparam int GROUPS = (BANKS + GROUP - 1) / GROUP;
            localparam int MEMBER = WORD + $clog2(GROUP);
            logic [GROUPS-1:0][WIDTH-1:0] chosen;
            logic [ADDR-1:MEMBER] group;

            for (genvar g = 0; g < GROUPS; g++) begin : g_group
                localparam int MEMBERS = BANKS - g * GROUP < GROUP ? BANKS - g * GROUP : GROUP;
                wire logic [MEMBERS-1:0][WIDTH-1:0] members = words[g*GROUP +: MEMBERS];
                if (MEMBERS == 1) begin : g_one
                    always_ff @(posedge clk) if (enable) chosen[g] <= members[0];
                end else begin : g_several
                    localparam int BITS = $clog2(MEMBERS);
                    always_ff @(posedge clk)
                        if (enable) chosen[g] <= members[bank[WORD +: BITS]];
                end
            end
            always_ff @(posedge clk) begin
                if (enable) begin
                    group <= bank[ADDR-1:MEMBER];
                    data  <= chosen[group];
                end
            end
        end
    end
endmodule

// Constant words of several LUTs a bit, in logic.
//
// Yosys maps it by itself (`hw_targets.flows.yosys`): together with the counter that `addr` comes
// from it would find words in the counter's next state, and take several times the LUTs.
module lf_lookup #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 32,
    parameter     WORDS = "rom.mem",
    localparam int ADDR = $clog2(DEPTH)
) (
    input  wire logic [ADDR-1:0]  addr,
    output      logic [WIDTH-1:0] data
);
    (* ram_style = "logic", rom_style = "distributed" *) logic [WIDTH-1:0] rom [DEPTH];
    initial $readmemh(WORDS, rom);
    assign data = rom[addr];
endmodule

`default_nettype wire
