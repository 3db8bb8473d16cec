// Matrix-vector unit: PE rows times SIMD columns of signed weights a clock cycle.
//
// The input vector (SF = MW/SIMD beats) is kept in a replay buffer for NF = MH/PE passes; during
// the last pass its words are freed one by one and the next vector moves in. With NF == 1 there is
// no buffer. Weights stream from a ROM, word nf*SF + sf, element p*SIMD + s.
// Stages: read (one to four, see lf_rom) | multiply | adder tree | accumulate.
`default_nettype none

module lf_mvu #(
    parameter int MW          = 8,
    parameter int MH          = 8,
    parameter int SIMD        = 2,
    parameter int PE          = 2,
    parameter int WEIGHT_BITS = 4,
    parameter int ACT_BITS    = 4,
    parameter bit ACT_SIGNED  = 0,
    parameter int ACC_BITS    = 11,
    parameter bit USE_DSP     = 0,
    // Rows that share multipliers, and the width of those: above 1 with USE_DSP only.
    parameter int PACKED_ROWS = 1,
    parameter int MULTIPLIER_BITS = 18,
    // Of the weights' memory, see lf_rom.
    parameter int ROM_BANKS   = 0,
    parameter     WEIGHTS     = "weights.mem",
    localparam int IN_WIDTH   = SIMD * ACT_BITS,
    localparam int OUT_WIDTH  = PE * ACC_BITS
) (
    input  wire logic                 clk,
    input  wire logic                 rst,
    input  wire logic [IN_WIDTH-1:0]  s_axis_tdata,
    input  wire logic                 s_axis_tvalid,
    output      logic                 s_axis_tready,
    output      logic [OUT_WIDTH-1:0] m_axis_tdata,
    output      logic                 m_axis_tvalid,
    input  wire logic                 m_axis_tready
);
    localparam int SF = MW / SIMD;
    localparam int NF = MH / PE;
    localparam int WORDS = SF * NF;
    localparam int ROM_WIDTH = PE * SIMD * WEIGHT_BITS;
    localparam int ADDR = WORDS > 1 ? $clog2(WORDS) : 1;
    localparam int SF_BITS = SF > 1 ? $clog2(SF) : 1;
    localparam int NF_BITS = NF > 1 ? $clog2(NF) : 1;
    // LUT RAM comes in 16 words, so a shorter buffer saves counters only. Vectors of two words need
    // room for a third, as a freed word counts a cycle later.
    localparam int BUFFER = SF <= 2 ? 2 * SF : SF <= 16 ? 16 : 1 << $clog2(SF);
    localparam bit BLOCK_BUFFER = NF > 1 && BUFFER >= 128 && BUFFER * IN_WIDTH >= 4096;
    // Clock cycles from an address to weights, and to both operands: block RAM has a register behind
    // it, and a multiplier, which is far from it, one of its own.
    localparam int WEIGHT_READ =
        ROM_BANKS > 4 ? 4 : ROM_BANKS > 1 ? 3 : ROM_BANKS > 0 ? 2 : 1;
    localparam bit FAR = BLOCK_BUFFER || ROM_BANKS > 0;
    localparam int READ = ROM_BANKS > 1 ? WEIGHT_READ : FAR ? (USE_DSP ? 3 : 2) : 1;
    // Weights of -1 and 1, or -1, 0 and 1, multiply nothing: activations are added or subtracted.
    localparam bit SIGNS = WEIGHT_BITS == 1 || (WEIGHT_BITS == 2 && !USE_DSP);
    // Diagonals of two-bit digits, see lf_product.
    localparam int DIAGONALS = (WEIGHT_BITS + 1) / 2 + (ACT_BITS + 1) / 2 - 1;
    localparam int MULTIPLY = USE_DSP || SIGNS || DIAGONALS <= 2 ? 1 : $clog2(DIAGONALS);
    localparam int LEVELS = $clog2(SIMD);
    localparam int LATENCY = READ + MULTIPLY + LEVELS;
    localparam int PRODUCT_BITS = WEIGHT_BITS + ACT_BITS;
    localparam int SUM_BITS = PRODUCT_BITS + LEVELS;

    logic available;
    logic done;
    // A finished sum waits for the output register; everything before it moves on until then.
    wire logic enable = !done || !m_axis_tvalid || m_axis_tready;
    wire logic step = enable && available;

    // Folds.
    logic [SF_BITS-1:0] sf;
    logic [NF_BITS-1:0] nf;
    wire logic sf_end = sf == SF_BITS'(SF - 1);
    wire logic nf_end = nf == NF_BITS'(NF - 1);

    always_ff @(posedge clk) begin
        if (rst) begin
            sf <= '0;
            nf <= '0;
        end else if (step) begin
            sf <= sf_end ? '0 : sf + 1'b1;
            if (sf_end) nf <= nf_end ? '0 : nf + 1'b1;
        end
    end

    // Activations.
    logic [IN_WIDTH-1:0] act_read;

    if (NF == 1) begin : g_direct
        assign available = s_axis_tvalid;
        assign s_axis_tready = enable;
        always_ff @(posedge clk) if (enable) act_read <= s_axis_tdata;
    end else begin : g_replay
        lf_mvu_replay #(
            .WIDTH(IN_WIDTH), .DEPTH(BUFFER), .BLOCK(BLOCK_BUFFER)
        ) u_replay (
            .clk(clk), .rst(rst),
            .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid),
            .s_axis_tready(s_axis_tready),
            .enable(enable), .available(available), .vector_end(sf_end), .last_pass(nf_end),
            .data(act_read)
        );
    end

    // Weights.
    logic [ADDR-1:0]      addr;
    logic [ROM_WIDTH-1:0] weight_read;

    always_ff @(posedge clk) begin
        if (rst) addr <= '0;
        else if (step) addr <= sf_end && nf_end ? '0 : addr + 1'b1;
    end

    lf_rom #(.WIDTH(ROM_WIDTH), .DEPTH(WORDS), .BANKS(ROM_BANKS), .WORDS(WEIGHTS)) u_weights (
        .clk(clk), .enable(enable), .addr(addr), .data(weight_read)
    );

    // Operands: what is read sooner waits for the other.
    logic [READ:1][IN_WIDTH-1:0]            acts;
    logic [READ:WEIGHT_READ][ROM_WIDTH-1:0] weights;

    assign acts[1] = act_read;
    assign weights[WEIGHT_READ] = weight_read;
    for (genvar r = 2; r <= READ; r++) begin : g_act_wait
        always_ff @(posedge clk) if (enable) acts[r] <= acts[r-1];
    end
    for (genvar r = WEIGHT_READ + 1; r <= READ; r++) begin : g_weight_wait
        always_ff @(posedge clk) if (enable) weights[r] <= weights[r-1];
    end
    wire logic [IN_WIDTH-1:0]  act    = acts[READ];
    wire logic [ROM_WIDTH-1:0] weight = weights[READ];

    // Validity and the end of the vector travel beside the data.
    logic [LATENCY-1:0] valids;
    logic [LATENCY-1:0] lasts;

    assign done = valids[LATENCY-1] && lasts[LATENCY-1];

    always_ff @(posedge clk) begin
        if (enable) lasts <= LATENCY'({lasts, sf_end});
        if (rst) valids <= '0;
        else if (enable) valids <= LATENCY'({valids, available});
        if (rst) m_axis_tvalid <= 1'b0;
        else if (done) m_axis_tvalid <= 1'b1;
        else if (m_axis_tready) m_axis_tvalid <= 1'b0;
    end

    // Rows that share multipliers, PACKED_ROWS at a time. A row's sum may lack its carry.
    logic [PE*SUM_BITS-1:0] packed_sums;
    logic [PE-1:0]          carries;

    if (PACKED_ROWS > 1) begin : g_packed
        for (genvar p = 0; p < PE; p += PACKED_ROWS) begin : g_rows
            localparam int ROWS = PE - p < PACKED_ROWS ? PE - p : PACKED_ROWS;
            lf_mvu_packed #(
                .ROWS(ROWS), .SIMD(SIMD), .WEIGHT_BITS(WEIGHT_BITS), .ACT_BITS(ACT_BITS),
                .ACT_SIGNED(ACT_SIGNED), .MULTIPLIER_BITS(MULTIPLIER_BITS)
            ) u_rows (
                .clk(clk), .enable(enable),
                .weights(weight[p*SIMD*WEIGHT_BITS +: ROWS*SIMD*WEIGHT_BITS]), .act(act),
                .sums(packed_sums[p*SUM_BITS +: ROWS*SUM_BITS]), .carries(carries[p +: ROWS])
            );
        end
    end

    for (genvar p = 0; p < PE; p++) begin : g_row
        localparam bit CARRY = SIGNS || (PACKED_ROWS > 1 && p % PACKED_ROWS != 0);
        logic signed [SUM_BITS-1:0] sum;

        if (SIGNS) begin : g_signs
            // -a is ~a, and one more.
            logic [SIMD*(ACT_BITS+1)-1:0] terms;
            logic [SIMD-1:0]              lacks;
            logic [ACT_BITS+LEVELS:0]     narrow;

            for (genvar s = 0; s < SIMD; s++) begin : g_lane
                wire logic [WEIGHT_BITS-1:0] w = weight[(p*SIMD + s)*WEIGHT_BITS +: WEIGHT_BITS];
                wire logic [ACT_BITS-1:0] a = act[s*ACT_BITS +: ACT_BITS];
                wire logic negative = w[WEIGHT_BITS-1];
                wire logic some = WEIGHT_BITS == 1 || w[0];
                wire logic [ACT_BITS-1:0] term =
                    (a ^ {ACT_BITS{negative}}) & {ACT_BITS{some}};
                always_ff @(posedge clk)
                    if (enable) begin
                        terms[s*(ACT_BITS+1) +: ACT_BITS+1] <=
                            {ACT_SIGNED ? term[ACT_BITS-1] : negative, term};
                        lacks[s] <= negative;
                    end
            end

            lf_mvu_carry_tree #(.TERMS(SIMD), .BITS(ACT_BITS + 1)) u_tree (
                .clk(clk), .enable(enable), .terms(terms), .lacks(lacks),
                .sum(narrow), .lack(carries[p])
            );
            assign sum = SUM_BITS'($signed(narrow));
        end else if (PACKED_ROWS > 1) begin : g_shared
            assign sum = packed_sums[p*SUM_BITS +: SUM_BITS];
        end else begin : g_own
            logic [SIMD*PRODUCT_BITS-1:0] products;

            for (genvar s = 0; s < SIMD; s++) begin : g_lane
                wire logic [WEIGHT_BITS-1:0] w = weight[(p*SIMD + s)*WEIGHT_BITS +: WEIGHT_BITS];
                wire logic [ACT_BITS-1:0] a = act[s*ACT_BITS +: ACT_BITS];

                if (USE_DSP) begin : g_dsp
                    wire logic signed [ACT_BITS:0] wide = {ACT_SIGNED && a[ACT_BITS-1], a};
                    (* use_dsp = "yes" *) logic signed [PRODUCT_BITS-1:0] product;
                    always_ff @(posedge clk)
                        if (enable) product <= PRODUCT_BITS'($signed(w) * wide);
                    assign products[s*PRODUCT_BITS +: PRODUCT_BITS] = product;
                end else begin : g_lut
                    lf_product #(
                        .WEIGHT_BITS(WEIGHT_BITS), .ACT_BITS(ACT_BITS), .ACT_SIGNED(ACT_SIGNED)
                    ) u_product (
                        .clk(clk), .enable(enable), .weight(w), .act(a),
                        .product(products[s*PRODUCT_BITS +: PRODUCT_BITS])
                    );
                end
            end

            lf_mvu_tree #(.TERMS(SIMD), .BITS(PRODUCT_BITS)) u_tree (
                .clk(clk), .enable(enable), .terms(products), .sum(sum)
            );
        end

        if (SF == 1) begin : g_single
            wire logic signed [ACC_BITS-1:0] whole;
            if (CARRY) begin : g_carry
                assign whole = ACC_BITS'(sum) + ACC_BITS'(carries[p]);
            end else begin : g_plain
                assign whole = ACC_BITS'(sum);
            end
            always_ff @(posedge clk) begin
                if (enable && done) m_axis_tdata[p*ACC_BITS +: ACC_BITS] <= whole;
            end
        end else begin : g_accumulate
            // The accumulator restarts from zero by its synchronous reset, which costs no LUT.
            logic signed [ACC_BITS-1:0] acc;
            wire logic signed [ACC_BITS-1:0] next;
            if (CARRY) begin : g_carry
                lf_mvu_add #(.BITS(ACC_BITS), .CARRY(1'b1)) u_next (
                    .a(acc), .b(ACC_BITS'(sum)), .carry(carries[p]), .sum(next)
                );
            end else begin : g_plain
                assign next = acc + ACC_BITS'(sum);
            end
            always_ff @(posedge clk) begin
                if (rst || (enable && done)) acc <= '0;
                else if (enable && valids[LATENCY-1]) acc <= next;
                if (enable && done) m_axis_tdata[p*ACC_BITS +: ACC_BITS] <= next;
            end
        end
    end
endmodule

// A vector of at most DEPTH words (a power of two), read several times.
module lf_mvu_replay #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 16,
    parameter bit BLOCK = 0
) (
    input  wire logic             clk,
    input  wire logic             rst,
    input  wire logic [WIDTH-1:0] s_axis_tdata,
    input  wire logic             s_axis_tvalid,
    output      logic             s_axis_tready,
    input  wire logic             enable,
    output      logic             available,
    input  wire logic             vector_end,
    input  wire logic             last_pass,
    output      logic [WIDTH-1:0] data
);
    localparam int ADDR = $clog2(DEPTH);

    // Positions carry one bit more than addresses, which tells full from empty.
    logic [ADDR:0] write_pos;
    logic [ADDR:0] read_pos;
    logic [ADDR:0] free_pos;

    // Known a cycle before: the memory's write enable lies behind it. A word freed counts a cycle later.
    logic full;

    wire logic push = s_axis_tvalid && !full;
    wire logic step = enable && available;
    wire logic [ADDR:0] next_pos = write_pos + (ADDR + 1)'(push);

    assign s_axis_tready = !full;
    assign available = write_pos != read_pos;

    always_ff @(posedge clk) begin
        if (rst) begin
            write_pos <= '0;
            read_pos  <= '0;
            free_pos  <= '0;
            full      <= 1'b0;
        end else begin
            write_pos <= next_pos;
            full      <= next_pos == {!free_pos[ADDR], free_pos[ADDR-1:0]};
            if (step) begin
                if (vector_end && !last_pass) read_pos <= free_pos;
                else read_pos <= read_pos + 1'b1;
                if (last_pass) free_pos <= free_pos + 1'b1;
            end
        end
    end

    // A word is never read in the cycle that writes it, which `no_rw_check` tells Yosys.
    if (BLOCK) begin : g_block
        (* ram_style = "block", no_rw_check *) logic [WIDTH-1:0] memory [DEPTH];
        always_ff @(posedge clk) begin
            if (push) memory[write_pos[ADDR-1:0]] <= s_axis_tdata;
            if (enable) data <= memory[read_pos[ADDR-1:0]];
        end
    end else begin : g_lut
        (* ram_style = "distributed", no_rw_check *) logic [WIDTH-1:0] memory [DEPTH];
        always_ff @(posedge clk) begin
            if (push) memory[write_pos[ADDR-1:0]] <= s_axis_tdata;
            if (enable) data <= memory[read_pos[ADDR-1:0]];
        end
    end
endmodule

// Signed sum of TERMS values by a binary tree with a register after every level.
module lf_mvu_tree #(
    parameter int TERMS = 4,
    parameter int BITS  = 8,
    localparam int LEVELS = $clog2(TERMS)
) (
    input  wire logic                          clk,
    input  wire logic                          enable,
    input  wire logic [TERMS*BITS-1:0]         terms,
    output      logic signed [BITS+LEVELS-1:0] sum
);
    for (genvar l = 0; l <= LEVELS; l++) begin : g_level
        localparam int COUNT = (TERMS + (1 << l) - 1) >> l;
        localparam int WIDTH = BITS + l;
        logic signed [WIDTH-1:0] node [COUNT];

        if (l == 0) begin : g_terms
            for (genvar i = 0; i < COUNT; i++) begin : g_node
                assign node[i] = terms[i*BITS +: BITS];
            end
        end else begin : g_sums
            localparam int BELOW = (TERMS + (1 << (l - 1)) - 1) >> (l - 1);
            for (genvar i = 0; i < COUNT; i++) begin : g_node
                if (2 * i + 1 < BELOW) begin : g_add
                    always_ff @(posedge clk)
                        if (enable)
                            node[i] <= WIDTH'(g_level[l-1].node[2*i])
                                + WIDTH'(g_level[l-1].node[2*i+1]);
                end else begin : g_pass
                    always_ff @(posedge clk)
                        if (enable) node[i] <= WIDTH'(g_level[l-1].node[2*i]);
                end
            end
        end
    end
    assign sum = g_level[LEVELS].node[0];
endmodule

`default_nettype wire
