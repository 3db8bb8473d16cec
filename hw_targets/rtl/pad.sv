// Zero padding as runs: beats of zeros and beats of the image alternate, so that one run counter
// and one row counter are the whole control.
`default_nettype none

module lf_pad #(
    parameter int IN_H   = 4,
    parameter int IN_W   = 4,
    parameter int FOLDS  = 1,
    parameter int TOP    = 1,
    parameter int LEFT   = 1,
    parameter int BOTTOM = 1,
    parameter int RIGHT  = 1,
    parameter int WIDTH  = 8
) (
    input  wire logic             clk,
    input  wire logic             rst,
    input  wire logic [WIDTH-1:0] s_axis_tdata,
    input  wire logic             s_axis_tvalid,
    output      logic             s_axis_tready,
    output      logic [WIDTH-1:0] m_axis_tdata,
    output      logic             m_axis_tvalid,
    input  wire logic             m_axis_tready
);
    localparam int ROW = (LEFT + IN_W + RIGHT) * FOLDS;
    localparam int HEAD = TOP * ROW + LEFT * FOLDS;
    localparam int BETWEEN = (RIGHT + LEFT) * FOLDS;
    localparam int TAIL = RIGHT * FOLDS + BOTTOM * ROW;
    // Without zeros between the rows the whole image is one run.
    localparam int RUNS = BETWEEN > 0 ? IN_H : 1;
    localparam int RUN = BETWEEN > 0 ? IN_W * FOLDS : IN_H * IN_W * FOLDS;
    localparam int LONGEST = HEAD + TAIL > RUN ? HEAD + TAIL : RUN;
    localparam int COUNT = $clog2(LONGEST + 1);
    localparam int RUN_COUNT = $clog2(RUNS + 1);

    if (HEAD + TAIL == 0) begin : g_wire
        assign m_axis_tdata  = s_axis_tdata;
        assign m_axis_tvalid = s_axis_tvalid;
        assign s_axis_tready = m_axis_tready;
    end else begin : g_pad
        logic [COUNT-1:0]     left;
        logic [RUN_COUNT-1:0] runs_left;
        logic                 zeros;

        wire logic enable = m_axis_tready || !m_axis_tvalid;
        wire logic step = enable && (zeros || s_axis_tvalid);

        assign s_axis_tready = enable && !zeros;

        always_ff @(posedge clk) begin
            if (enable) begin
                if (zeros) m_axis_tdata <= '0;
                else m_axis_tdata <= s_axis_tdata;
            end
            if (rst) begin
                zeros         <= HEAD > 0;
                left          <= HEAD > 0 ? COUNT'(HEAD - 1) : COUNT'(RUN - 1);
                runs_left     <= RUN_COUNT'(RUNS - 1);
                m_axis_tvalid <= 1'b0;
            end else begin
                if (enable) m_axis_tvalid <= zeros || s_axis_tvalid;
                if (step) begin
                    if (left != '0) begin
                        left <= left - 1'b1;
                    end else begin
                        zeros <= !zeros;
                        if (zeros) begin
                            left <= COUNT'(RUN - 1);
                        end else if (runs_left != '0) begin
                            left      <= COUNT'(BETWEEN - 1);
                            runs_left <= runs_left - 1'b1;
                        end else begin
                            left      <= COUNT'(HEAD + TAIL - 1);
                            runs_left <= RUN_COUNT'(RUNS - 1);
                        end
                    end
                end
            end
        end
    end
endmodule

`default_nettype wire
