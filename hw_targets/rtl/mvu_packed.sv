// Dot products of ROWS rows with one vector: one multiplier a column serves all rows.
//
// The rows' weights stand SPACING bits apart in one operand, so that their products stand SPACING
// bits apart in the result. A negative product borrows from the row above: the weights come with
// that borrow taken (`Mvu.memories`), and the product of a row above is one too few where the one
// below it is negative. Words are added as they are for as many levels of the adder tree as their
// rows stay apart; then the rows are split, and what they lack is added by the carries of the
// adders that follow. One such bit is left at the end, for the accumulator: the dot product of row
// f is sums[f] + carries[f].
//
// Fu et al., Deep Learning with INT8 Optimization on Xilinx Devices (AMD WP486), has two rows in a
// word, FINN's RTL library more.
`default_nettype none

module lf_mvu_packed #(
    parameter int ROWS            = 2,
    parameter int SIMD            = 2,
    parameter int WEIGHT_BITS     = 4,
    parameter int ACT_BITS        = 4,
    parameter bit ACT_SIGNED      = 0,
    parameter int MULTIPLIER_BITS = 18,
    localparam int LEVELS         = $clog2(SIMD),
    localparam int PRODUCT_BITS   = WEIGHT_BITS + ACT_BITS,
    localparam int SUM_BITS       = PRODUCT_BITS + LEVELS
) (
    input  wire logic                             clk,
    input  wire logic                             enable,
    input  wire logic [ROWS*SIMD*WEIGHT_BITS-1:0] weights,
    input  wire logic [SIMD*ACT_BITS-1:0]         act,
    output      logic [ROWS*SUM_BITS-1:0]         sums,
    output      logic [ROWS-1:0]                  carries
);
    localparam int GAPS = ROWS > 1 ? ROWS - 1 : 1;
    localparam int ROOM =
        ROWS > 1 ? (MULTIPLIER_BITS - WEIGHT_BITS) / GAPS - PRODUCT_BITS : LEVELS;
    // Levels of the tree at which words are added whole.
    localparam int WHOLE = ROOM < LEVELS ? ROOM : LEVELS;
    localparam int TOP = PRODUCT_BITS + WHOLE;
    // Yosys makes products of fewer than 9 bits of LUTs on AMD's parts.
    localparam int LEAST = (9 - PRODUCT_BITS + GAPS - 1) / GAPS;
    localparam int SPACING = TOP > LEAST ? TOP : LEAST;
    localparam int BELOW_TOP = (ROWS - 1) * SPACING;

    for (genvar l = 0; l <= WHOLE; l++) begin : g_whole
        localparam int COUNT = (SIMD + (1 << l) - 1) >> l;
        localparam int WIDTH = BELOW_TOP + PRODUCT_BITS + l;
        logic signed [WIDTH-1:0] node [COUNT];

        for (genvar i = 0; i < COUNT; i++) begin : g_node
            if (l == 0) begin : g_product
                wire logic [ACT_BITS-1:0] a = act[i*ACT_BITS +: ACT_BITS];
                wire logic signed [ACT_BITS:0] wide = {ACT_SIGNED && a[ACT_BITS-1], a};
                logic signed [BELOW_TOP+WEIGHT_BITS-1:0] operand;
                for (genvar f = 0; f < ROWS; f++) begin : g_row
                    localparam int BITS = f == ROWS - 1 ? WEIGHT_BITS : SPACING;
                    assign operand[f*SPACING +: BITS] =
                        BITS'($signed(weights[(f*SIMD + i)*WEIGHT_BITS +: WEIGHT_BITS]));
                end
                (* use_dsp = "yes" *) logic signed [WIDTH-1:0] product;
                always_ff @(posedge clk) if (enable) product <= WIDTH'(operand * wide);
                assign node[i] = product;
            end else if (2 * i + 1 < (SIMD + (1 << (l - 1)) - 1) >> (l - 1)) begin : g_add
                always_ff @(posedge clk)
                    if (enable)
                        node[i] <= WIDTH'(g_whole[l-1].node[2*i])
                            + WIDTH'(g_whole[l-1].node[2*i+1]);
            end else begin : g_pass
                always_ff @(posedge clk)
                    if (enable) node[i] <= WIDTH'(g_whole[l-1].node[2*i]);
            end
        end
    end

    localparam int SPLIT = (SIMD + (1 << WHOLE) - 1) >> WHOLE;

    for (genvar f = 0; f < ROWS; f++) begin : g_row
        logic [SPLIT*TOP-1:0] terms;
        logic [SPLIT-1:0]     lacks;

        for (genvar i = 0; i < SPLIT; i++) begin : g_node
            assign terms[i*TOP +: TOP] = g_whole[WHOLE].node[i][f*SPACING +: TOP];
            if (f > 0) begin : g_above
                assign lacks[i] = g_whole[WHOLE].node[i][(f-1)*SPACING + TOP-1];
            end else begin : g_lowest
                assign lacks[i] = 1'b0;
            end
        end
        lf_mvu_carry_tree #(.TERMS(SPLIT), .BITS(TOP), .CARRY(f > 0)) u_tree (
            .clk(clk), .enable(enable), .terms(terms), .lacks(lacks),
            .sum(sums[f*SUM_BITS +: SUM_BITS]), .lack(carries[f])
        );
    end
endmodule

`default_nettype wire
