// out = OUT_BIAS + #{i: x >= T[channel][i]} by a pipelined binary search, a stage a result bit.
//
// Every stage and lane has its own memory `<THRESHOLDS>_<lane>_<stage>.mem` at {fold, prefix}.
// Thresholds are offsets from the lowest input value in IN_BITS + 1 bits (2**IN_BITS: never).
// Byte s of BLOCK_BANKS: banks of stage s's memory in block RAM, which are the words' parts from
// the lowest on; 0 for a memory in logic.
`default_nettype none

module lf_threshold #(
    parameter int PE        = 1,
    parameter int FOLDS     = 1,
    parameter int IN_BITS   = 8,
    parameter bit IN_SIGNED = 1,
    parameter int OUT_BITS  = 4,
    parameter int OUT_BIAS  = 0,
    parameter logic [8*OUT_BITS-1:0] BLOCK_BANKS = '0,
    parameter     THRESHOLDS = "thresholds"
) (
    input  wire logic                   clk,
    input  wire logic                   rst,
    input  wire logic [PE*IN_BITS-1:0]  s_axis_tdata,
    input  wire logic                   s_axis_tvalid,
    output      logic                   s_axis_tready,
    output      logic [PE*OUT_BITS-1:0] m_axis_tdata,
    output      logic                   m_axis_tvalid,
    input  wire logic                   m_axis_tready
);
    localparam int FOLD_BITS = FOLDS > 1 ? $clog2(FOLDS) : 1;

    // valid[s], folds[s], values[s] and prefix[s] enter stage s; the bits found so far are prefix.
    logic                             valid  [OUT_BITS+1];
    logic [FOLD_BITS-1:0]             folds  [OUT_BITS+1];
    logic [PE-1:0][IN_BITS-1:0]       values [OUT_BITS+1];
    logic [PE-1:0][OUT_BITS-1:0]      prefix [OUT_BITS+1];

    assign m_axis_tvalid = valid[OUT_BITS];
    wire logic enable = m_axis_tready || !m_axis_tvalid;
    assign s_axis_tready = enable;

    logic [FOLD_BITS-1:0] fold;
    always_ff @(posedge clk) begin
        if (rst) fold <= '0;
        else if (enable && s_axis_tvalid)
            fold <= fold == FOLD_BITS'(FOLDS - 1) ? '0 : fold + 1'b1;
    end

    assign valid[0]  = s_axis_tvalid;
    assign folds[0]  = fold;
    assign prefix[0] = '0;
    for (genvar p = 0; p < PE; p++) begin : g_lane
        // Offset from the lowest value: a signed input has its sign bit inverted.
        assign values[0][p] =
            s_axis_tdata[p*IN_BITS +: IN_BITS] ^ (IN_BITS'(IN_SIGNED) << (IN_BITS - 1));
        assign m_axis_tdata[p*OUT_BITS +: OUT_BITS] = prefix[OUT_BITS][p] + OUT_BITS'(OUT_BIAS);
    end

    for (genvar s = 0; s < OUT_BITS; s++) begin : g_stage
        localparam int DEPTH = FOLDS << s;
        localparam int BANKS = int'(BLOCK_BANKS[8*s +: 8]);
        // Deep memories have a clock cycle of their own, block RAM, which answers late, two.
        localparam int READ = BANKS > 0 ? 2 : DEPTH > 32 ? 1 : 0;

        logic                        valid_read  [READ+1];
        logic [FOLD_BITS-1:0]        fold_read   [READ+1];
        logic [PE-1:0][IN_BITS-1:0]  value_read  [READ+1];
        logic [PE-1:0][OUT_BITS-1:0] prefix_read [READ+1];

        assign valid_read[0]  = valid[s];
        assign fold_read[0]   = folds[s];
        assign value_read[0]  = values[s];
        assign prefix_read[0] = prefix[s];
        for (genvar r = 0; r < READ; r++) begin : g_read
            always_ff @(posedge clk) begin
                if (enable) begin
                    fold_read[r+1]   <= fold_read[r];
                    value_read[r+1]  <= value_read[r];
                    prefix_read[r+1] <= prefix_read[r];
                end
                if (rst) valid_read[r+1] <= 1'b0;
                else if (enable) valid_read[r+1] <= valid_read[r];
            end
        end

        always_ff @(posedge clk) begin
            if (enable) begin
                folds[s+1]  <= fold_read[READ];
                values[s+1] <= value_read[READ];
            end
            if (rst) valid[s+1] <= 1'b0;
            else if (enable) valid[s+1] <= valid_read[READ];
        end

        for (genvar p = 0; p < PE; p++) begin : g_lane
            localparam int ADDR = DEPTH > 1 ? $clog2(DEPTH) : 1;
            // At READ: the same address when its word is there.
            logic [ADDR-1:0] addr [READ+1];
            logic [IN_BITS:0] limit;
            for (genvar r = 0; r <= READ; r++) begin : g_address
                assign addr[r] = ADDR'({fold_read[r], OUT_BITS'(0)} >> (OUT_BITS - s))
                    | ADDR'(prefix_read[r][p]);
            end

            lf_threshold_rom #(
                .WIDTH(IN_BITS + 1), .DEPTH(DEPTH), .BANKS(BANKS), .READ(READ),
                .FILE($sformatf("%s_%0d_%0d.mem", THRESHOLDS, p, s))
            ) u_rom (
                .clk(clk), .enable(enable), .addr(addr[0]), .late(addr[READ]), .data(limit)
            );

            wire logic reached = {1'b0, value_read[READ][p]} >= limit;
            always_ff @(posedge clk) begin
                if (enable) prefix[s+1][p] <= OUT_BITS'({prefix_read[READ][p], reached});
            end
        end
    end
endmodule

// Thresholds of one lane and stage, READ clock cycles after their address, which `late` is then.
module lf_threshold_rom #(
    parameter int WIDTH = 9,
    parameter int DEPTH = 1,
    parameter int BANKS = 0,
    parameter int READ  = 0,
    parameter     FILE  = "thresholds_0_0.mem",
    localparam int ADDR = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  wire logic             clk,
    input  wire logic             enable,
    input  wire logic [ADDR-1:0]  addr,
    input  wire logic [ADDR-1:0]  late,
    output      logic [WIDTH-1:0] data
);
    localparam int LUT_WORDS = 16;  // as in lf_rom

    if (BANKS > 0) begin : g_block
        // All banks are read, and one is chosen behind a register: block RAM leaves no time for it.
        localparam int WORD = BANKS > 1 ? $clog2((DEPTH + BANKS - 1) / BANKS) : ADDR;
        localparam int WORDS = BANKS > 1 ? 2 ** WORD : DEPTH;
        (* rom_style = "block" *) logic [BANKS*WIDTH-1:0] rom [WORDS];
        logic [BANKS-1:0][WIDTH-1:0] read, words;
        initial $readmemh(FILE, rom);
        always_ff @(posedge clk) begin
            if (enable) begin
                read  <= rom[addr[WORD-1:0]];
                words <= read;
            end
        end
        if (BANKS > 1) begin : g_banks
            assign data = words[late[ADDR-1:WORD]];
        end else begin : g_one
            assign data = words;
        end
    end else if (DEPTH > LUT_WORDS) begin : g_lookup
        logic [WIDTH-1:0] word;
        lf_lookup #(.WIDTH(WIDTH), .DEPTH(DEPTH), .WORDS(FILE)) lookup (.addr, .data(word));
        if (READ > 0) begin : g_registered
            always_ff @(posedge clk) if (enable) data <= word;
        end else begin : g_direct
            assign data = word;
        end
    end else begin : g_logic
        (* ram_style = "logic", rom_style = "distributed" *) logic [WIDTH-1:0] rom [DEPTH];
        initial $readmemh(FILE, rom);
        if (READ > 0) begin : g_registered
            always_ff @(posedge clk) if (enable) data <= rom[addr];
        end else begin : g_direct
            assign data = rom[DEPTH > 1 ? addr : '0];
        end
    end
endmodule

`default_nettype wire
