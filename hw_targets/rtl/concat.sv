// Of every pixel FOLDS[0] beats of stream 0, then FOLDS[1] of stream 1, ...; registered.
`default_nettype none

module lf_concat #(
    parameter int STREAMS = 2,
    parameter bit [STREAMS-1:0][31:0] FOLDS = {STREAMS{32'd1}},
    parameter int WIDTH = 8
) (
    input  wire logic                     clk,
    input  wire logic                     rst,
    input  wire logic [STREAMS*WIDTH-1:0] s_axis_tdata,
    input  wire logic [STREAMS-1:0]       s_axis_tvalid,
    output      logic [STREAMS-1:0]       s_axis_tready,
    output      logic [WIDTH-1:0]         m_axis_tdata,
    output      logic                     m_axis_tvalid,
    input  wire logic                     m_axis_tready
);
    function automatic int most_folds();
        most_folds = 2;
        for (int i = 0; i < STREAMS; i++) begin
            if (int'(FOLDS[i]) > most_folds) most_folds = int'(FOLDS[i]);
        end
    endfunction
    localparam int FOLD_BITS = $clog2(most_folds());

    logic [STREAMS-1:0]   turn;  // one bit, that of the stream whose beats pass
    logic [FOLD_BITS-1:0] fold;
    logic                 last;
    logic [WIDTH-1:0]     value;

    wire logic enable = m_axis_tready || !m_axis_tvalid;
    wire logic valid = |(turn & s_axis_tvalid);

    assign s_axis_tready = turn & {STREAMS{enable}};

    always_comb begin
        last  = 1'b0;
        value = '0;
        for (int i = 0; i < STREAMS; i++) begin
            last  |= turn[i] && fold == FOLD_BITS'(FOLDS[i] - 1);
            value |= s_axis_tdata[i*WIDTH +: WIDTH] & {WIDTH{turn[i]}};
        end
    end

    always_ff @(posedge clk) begin
        if (enable) m_axis_tdata <= value;
        if (rst) begin
            turn          <= STREAMS'(1);
            fold          <= '0;
            m_axis_tvalid <= 1'b0;
        end else if (enable) begin
            m_axis_tvalid <= valid;
            if (valid) begin
                fold <= last ? '0 : fold + 1'b1;
                if (last) turn <= {turn[STREAMS-2:0], turn[STREAMS-1]};
            end
        end
    end
endmodule

`default_nettype wire
