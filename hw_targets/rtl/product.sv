// weight * act in LUTs. Both operands are cut into digits of two bits, so every product of digits is
// a table of four inputs. Products on one diagonal (act digit - weight digit constant) do not
// overlap: they are one word, of which only the top field can be negative. The words are added two
// by two with a register after every addition: unregistered sums of three and more would be taken
// for compressor trees, which have no use of the carry chains.
`default_nettype none

module lf_product #(
    parameter int WEIGHT_BITS = 4,
    parameter int ACT_BITS    = 4,
    parameter bit ACT_SIGNED  = 0,
    localparam int BITS       = WEIGHT_BITS + ACT_BITS
) (
    input  wire logic                   clk,
    input  wire logic                   enable,
    input  wire logic [WEIGHT_BITS-1:0] weight,
    input  wire logic [ACT_BITS-1:0]    act,
    output      logic [BITS-1:0]        product
);
    localparam int W_DIGITS = (WEIGHT_BITS + 1) / 2;
    localparam int A_DIGITS = (ACT_BITS + 1) / 2;
    localparam int DIAGONALS = W_DIGITS + A_DIGITS - 1;
    localparam int LEVELS = DIAGONALS <= 2 ? 1 : $clog2(DIAGONALS);

    wire logic [2*W_DIGITS-1:0] w = (2*W_DIGITS)'($signed(weight));
    wire logic [2*A_DIGITS-1:0] a =
        ACT_SIGNED ? (2*A_DIGITS)'($signed(act)) : (2*A_DIGITS)'(act);

    logic [DIAGONALS-1:0][BITS-1:0] words;

    for (genvar d = 0; d < DIAGONALS; d++) begin : g_diagonal
        localparam int A0 = d >= W_DIGITS ? d - W_DIGITS + 1 : 0;
        localparam int W0 = d >= W_DIGITS ? 0 : W_DIGITS - 1 - d;
        localparam int FIELDS =
            W_DIGITS - W0 < A_DIGITS - A0 ? W_DIGITS - W0 : A_DIGITS - A0;
        localparam bit TOP_SIGNED = W0 + FIELDS == W_DIGITS || ACT_SIGNED;
        logic [4*FIELDS-1:0] fields;

        for (genvar f = 0; f < FIELDS; f++) begin : g_field
            localparam bit W_SIGNED = W0 + f == W_DIGITS - 1;
            localparam bit A_SIGNED = ACT_SIGNED && A0 + f == A_DIGITS - 1;
            lf_product_digits #(.W_SIGNED(W_SIGNED), .A_SIGNED(A_SIGNED)) u_digits (
                .w(w[2*(W0 + f) +: 2]), .a(a[2*(A0 + f) +: 2]), .product(fields[4*f +: 4])
            );
        end

        wire logic sign = TOP_SIGNED && fields[4*FIELDS-1];
        assign words[d] = BITS'($signed({sign, fields})) << (2 * (A0 + W0));
    end

    for (genvar l = 0; l <= LEVELS; l++) begin : g_level
        localparam int COUNT = (DIAGONALS + (1 << l) - 1) >> l;
        logic [COUNT-1:0][BITS-1:0] node;

        if (l == 0) begin : g_words
            assign node = words;
        end else begin : g_sums
            localparam int BELOW = (DIAGONALS + (1 << (l - 1)) - 1) >> (l - 1);
            for (genvar i = 0; i < COUNT; i++) begin : g_node
                // The shortest words are the outer diagonals: they pair first.
                localparam int OTHER = BELOW - 1 - i;
                if (OTHER > i) begin : g_add
                    always_ff @(posedge clk)
                        if (enable)
                            node[i] <= g_level[l-1].node[i] + g_level[l-1].node[OTHER];
                end else begin : g_pass
                    always_ff @(posedge clk) if (enable) node[i] <= g_level[l-1].node[i];
                end
            end
        end
    end
    assign product = g_level[LEVELS].node[0];
endmodule

// Product of two digits of two bits, four LUTs of four inputs. Written as gates: an arithmetic
// operator would take a carry chain, a table would be taken for a memory.
module lf_product_digits #(
    parameter bit W_SIGNED = 0,
    parameter bit A_SIGNED = 0
) (
    input  wire logic [1:0] w,
    input  wire logic [1:0] a,
    output      logic [3:0] product
);
    assign product[0] = w[0] && a[0];
    assign product[1] = (w[1] && a[0]) ^ (w[0] && a[1]);

    if (W_SIGNED && A_SIGNED) begin : g_both
        wire logic negative = w[1] ? !a[1] && a[0] : w[0] && a[1];
        assign product[3] = negative;
        assign product[2] = negative || (w == 2'b10 && a == 2'b10);
    end else if (W_SIGNED) begin : g_weight
        assign product[3] = w[1] && a != '0;
        assign product[2] = w[1] && (w[0] ? a != '0 : ^a);
    end else if (A_SIGNED) begin : g_act
        assign product[3] = a[1] && w != '0;
        assign product[2] = a[1] && (a[0] ? w != '0 : ^w);
    end else begin : g_none
        assign product[3] = &w && &a;
        assign product[2] = w[1] && a[1] && !(w[0] && a[0]);
    end
endmodule

`default_nettype wire
