// Signed sum of TERMS values, each of which is one too few where its bit in `lacks` is set: the
// carries of the adders add those bits, but for one that is left (`lack`). A register after every
// level, as in lf_mvu_tree. Without CARRY no term lacks anything.
`default_nettype none

module lf_mvu_carry_tree #(
    parameter int TERMS = 4,
    parameter int BITS  = 8,
    parameter bit CARRY = 1,
    localparam int LEVELS = $clog2(TERMS)
) (
    input  wire logic                          clk,
    input  wire logic                          enable,
    input  wire logic [TERMS*BITS-1:0]         terms,
    input  wire logic [TERMS-1:0]              lacks,
    output      logic signed [BITS+LEVELS-1:0] sum,
    output      logic                          lack
);
    for (genvar l = 0; l <= LEVELS; l++) begin : g_level
        localparam int COUNT = (TERMS + (1 << l) - 1) >> l;
        localparam int WIDTH = BITS + l;
        logic signed [WIDTH-1:0] node [COUNT];
        logic [COUNT-1:0]        left;

        if (l == 0) begin : g_terms
            for (genvar i = 0; i < COUNT; i++) begin : g_node
                assign node[i] = terms[i*BITS +: BITS];
            end
            assign left = lacks;
        end else begin : g_sums
            localparam int BELOW = (TERMS + (1 << (l - 1)) - 1) >> (l - 1);
            for (genvar i = 0; i < COUNT; i++) begin : g_node
                if (2 * i + 1 < BELOW) begin : g_add
                    wire logic signed [WIDTH-1:0] both;
                    lf_mvu_add #(.BITS(WIDTH), .CARRY(CARRY)) u_add (
                        .a(WIDTH'(g_level[l-1].node[2*i])), .b(WIDTH'(g_level[l-1].node[2*i+1])),
                        .carry(g_level[l-1].left[2*i]), .sum(both)
                    );
                    always_ff @(posedge clk)
                        if (enable) begin
                            node[i] <= both;
                            left[i] <= g_level[l-1].left[2*i+1];
                        end
                end else begin : g_pass
                    always_ff @(posedge clk)
                        if (enable) begin
                            node[i] <= WIDTH'(g_level[l-1].node[2*i]);
                            left[i] <= g_level[l-1].left[2*i];
                        end
                end
            end
        end
    end
    assign sum = g_level[LEVELS].node[0];
    assign lack = g_level[LEVELS].left[0];
endmodule

// a + b, and with CARRY one more where `carry` is set: on the carry chain, which a third operand of
// an addition would not be.
module lf_mvu_add #(
    parameter int BITS  = 8,
    parameter bit CARRY = 0
) (
    input  wire logic signed [BITS-1:0] a,
    input  wire logic signed [BITS-1:0] b,
    input  wire logic                   carry,
    output      logic signed [BITS-1:0] sum
);
    if (CARRY) begin : g_carry
        wire logic [BITS:0] both = {a, 1'b1} + {b, carry};
        assign sum = both[BITS:1];
    end else begin : g_plain
        assign sum = a + b;
    end
endmodule

`default_nettype wire
