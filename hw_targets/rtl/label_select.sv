// Index of the largest of CLASSES values, the lowest index on a tie.
//
// A registered tree finds the best lane of each beat; the last stage keeps the best of the frame.
`default_nettype none

module lf_label_select #(
    parameter int CLASSES   = 10,
    parameter int PE        = 1,
    parameter int IN_BITS   = 8,
    parameter bit IN_SIGNED = 1,
    localparam int INDEX_BITS = CLASSES > 1 ? $clog2(CLASSES) : 1
) (
    input  wire logic                  clk,
    input  wire logic                  rst,
    input  wire logic [PE*IN_BITS-1:0] s_axis_tdata,
    input  wire logic                  s_axis_tvalid,
    output      logic                  s_axis_tready,
    output      logic [INDEX_BITS-1:0] m_axis_tdata,
    output      logic                  m_axis_tvalid,
    input  wire logic                  m_axis_tready
);
    localparam int LEVELS = $clog2(PE);
    localparam int LEAVES = 1 << LEVELS;
    localparam int FOLDS = CLASSES / PE;
    localparam int FOLD_BITS = FOLDS > 1 ? $clog2(FOLDS) : 1;

    wire logic enable = m_axis_tready || !m_axis_tvalid;
    assign s_axis_tready = enable;

    // Level l holds LEAVES >> l candidates. Values carry an inverted sign bit: compared unsigned.
    logic [LEAVES-1:0][IN_BITS-1:0]    value [LEVELS+1];
    logic [LEAVES-1:0][INDEX_BITS-1:0] lane  [LEVELS+1];
    logic                              valid [LEVELS+1];

    assign valid[0] = s_axis_tvalid;
    for (genvar i = 0; i < LEAVES; i++) begin : g_leaf
        // Leaves without a lane repeat the last one; on that tie the lower index wins.
        localparam int LANE = i < PE ? i : PE - 1;
        assign value[0][i] =
            s_axis_tdata[LANE*IN_BITS +: IN_BITS] ^ (IN_BITS'(IN_SIGNED) << (IN_BITS - 1));
        assign lane[0][i] = INDEX_BITS'(LANE);
    end
    for (genvar l = 0; l < LEVELS; l++) begin : g_level
        for (genvar i = 0; i < LEAVES >> (l + 1); i++) begin : g_pair
            wire logic second = value[l][2*i+1] > value[l][2*i];
            always_ff @(posedge clk) begin
                if (enable) begin
                    value[l+1][i] <= second ? value[l][2*i+1] : value[l][2*i];
                    lane[l+1][i]  <= second ? lane[l][2*i+1] : lane[l][2*i];
                end
            end
        end
        always_ff @(posedge clk) begin
            if (rst) valid[l+1] <= 1'b0;
            else if (enable) valid[l+1] <= valid[l];
        end
    end

    logic [FOLD_BITS-1:0]  left;
    logic [INDEX_BITS-1:0] base;
    logic [IN_BITS-1:0]    best;

    wire logic first = base == '0;
    wire logic last = left == '0;
    wire logic step = enable && valid[LEVELS];
    wire logic better = first || value[LEVELS][0] > best;

    always_ff @(posedge clk) begin
        if (step && better) begin
            best         <= value[LEVELS][0];
            m_axis_tdata <= base + lane[LEVELS][0];
        end
        if (rst) begin
            left          <= FOLD_BITS'(FOLDS - 1);
            base          <= '0;
            m_axis_tvalid <= 1'b0;
        end else begin
            if (step) begin
                left <= last ? FOLD_BITS'(FOLDS - 1) : left - 1'b1;
                base <= last ? '0 : base + INDEX_BITS'(PE);
            end
            if (enable) m_axis_tvalid <= valid[LEVELS] && last;
        end
    end
endmodule

`default_nettype wire
