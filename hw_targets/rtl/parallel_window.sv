// Sliding windows of an image stream, several pixels of the kernel a beat, without padding.
//
// A memory of one word a column holds the pixels above that a later row needs: each pixel that
// comes is written there, its column moved up by one. The columns enter registers, one for each
// row of the kernel, which are the window; pixels that complete none only shift them on. A window
// of several beats goes out in parts, ky and kx in order, and the registers wait for the last.
`default_nettype none

module lf_parallel_window #(
    parameter int IN_H       = 4,
    parameter int IN_W       = 4,
    parameter int KERNEL_H   = 3,
    parameter int KERNEL_W   = 3,
    parameter int STRIDE_H   = 1,
    parameter int STRIDE_W   = 1,
    parameter int DILATION_H = 1,
    parameter int DILATION_W = 1,
    parameter int WIDTH      = 8,
    parameter int BEATS      = 1,
    localparam int TAPS      = KERNEL_H * KERNEL_W * WIDTH,
    localparam int OUT_WIDTH = TAPS / BEATS
) (
    input  wire logic                 clk,
    input  wire logic                 rst,
    input  wire logic [WIDTH-1:0]     s_axis_tdata,
    input  wire logic                 s_axis_tvalid,
    output      logic                 s_axis_tready,
    output      logic [OUT_WIDTH-1:0] m_axis_tdata,
    output      logic                 m_axis_tvalid,
    input  wire logic                 m_axis_tready
);
    // Rows above and columns before the newest pixel that its window reaches.
    localparam int ABOVE = (KERNEL_H - 1) * DILATION_H;
    localparam int BEFORE = (KERNEL_W - 1) * DILATION_W;
    localparam int LINE = (BEFORE + 1) * WIDTH;

    localparam int X_BITS = $clog2(IN_W + 1);
    localparam int Y_BITS = $clog2(IN_H + 1);
    localparam int X_WAIT_BITS = $clog2((BEFORE > STRIDE_W ? BEFORE : STRIDE_W) + 1);
    localparam int Y_WAIT_BITS = $clog2((ABOVE > STRIDE_H ? ABOVE : STRIDE_H) + 1);

    logic full;  // the registers hold a window that has not gone out
    logic last;  // its last beat goes out
    wire logic push = s_axis_tvalid && s_axis_tready;

    assign s_axis_tready = !full || last;

    // Pixels left in the row and rows in the frame, and those until one completes a window.
    logic [X_BITS-1:0]      columns_left;
    logic [Y_BITS-1:0]      rows_left;
    logic [X_WAIT_BITS-1:0] column_wait;
    logic [Y_WAIT_BITS-1:0] row_wait;

    wire logic row_end = columns_left == '0;
    wire logic frame_end = rows_left == '0;
    wire logic column_due = column_wait == '0;
    wire logic row_due = row_wait == '0;

    always_ff @(posedge clk) begin
        if (rst) begin
            columns_left <= X_BITS'(IN_W - 1);
            rows_left    <= Y_BITS'(IN_H - 1);
            column_wait  <= X_WAIT_BITS'(BEFORE);
            row_wait     <= Y_WAIT_BITS'(ABOVE);
            full         <= 1'b0;
        end else begin
            if (s_axis_tready) full <= s_axis_tvalid && column_due && row_due;
            if (push) begin
                columns_left <= row_end ? X_BITS'(IN_W - 1) : columns_left - 1'b1;
                if (row_end) column_wait <= X_WAIT_BITS'(BEFORE);
                else if (column_due) column_wait <= X_WAIT_BITS'(STRIDE_W - 1);
                else column_wait <= column_wait - 1'b1;
                if (row_end) begin
                    rows_left <= frame_end ? Y_BITS'(IN_H - 1) : rows_left - 1'b1;
                    if (frame_end) row_wait <= Y_WAIT_BITS'(ABOVE);
                    else if (row_due) row_wait <= Y_WAIT_BITS'(STRIDE_H - 1);
                    else row_wait <= row_wait - 1'b1;
                end
            end
        end
    end

    // The newest pixel below those above it, the topmost one in the low bits.
    wire logic [(ABOVE+1)*WIDTH-1:0] column;

    if (ABOVE == 0) begin : g_row
        assign column = s_axis_tdata;
    end else begin : g_rows
        localparam int WORD = ABOVE * WIDTH;
        // Never read and written at the same address, which `no_rw_check` tells Yosys: a row has
        // two pixels or more.
        (* no_rw_check *) logic [WORD-1:0] memory [IN_W];
        logic [WORD-1:0]   above;
        logic [X_BITS-1:0] ahead;  // where the next pixel will be written

        assign column = {s_axis_tdata, above};

        always_ff @(posedge clk) begin
            if (push) begin
                memory[columns_left] <= column[WIDTH +: WORD];
                above                <= memory[ahead];
            end
            if (rst) ahead <= X_BITS'(IN_W - 2);
            else if (push) ahead <= ahead == '0 ? X_BITS'(IN_W - 1) : ahead - 1'b1;
        end
    end

    wire logic [TAPS-1:0] window;

    for (genvar ky = 0; ky < KERNEL_H; ky++) begin : g_line
        logic [LINE-1:0] line;
        always_ff @(posedge clk)
            if (push) line <= LINE'({column[ky*DILATION_H*WIDTH +: WIDTH], line} >> WIDTH);
        for (genvar kx = 0; kx < KERNEL_W; kx++) begin : g_tap
            assign window[(ky*KERNEL_W + kx)*WIDTH +: WIDTH] = line[kx*DILATION_W*WIDTH +: WIDTH];
        end
    end

    if (BEATS == 1) begin : g_whole
        assign m_axis_tdata  = window;
        assign m_axis_tvalid = full;
        assign last          = m_axis_tready;
    end else begin : g_parts
        localparam int BEAT_BITS = $clog2(BEATS);
        logic [BEAT_BITS-1:0] beat;
        wire logic [OUT_WIDTH-1:0] parts [BEATS];
        wire logic enable = m_axis_tready || !m_axis_tvalid;
        wire logic beat_end = beat == BEAT_BITS'(BEATS - 1);

        assign last = enable && beat_end;

        for (genvar part = 0; part < BEATS; part++) begin : g_part
            assign parts[part] = window[part*OUT_WIDTH +: OUT_WIDTH];
        end

        always_ff @(posedge clk) begin
            if (enable) m_axis_tdata <= parts[beat];
            if (rst) begin
                beat          <= '0;
                m_axis_tvalid <= 1'b0;
            end else if (enable) begin
                m_axis_tvalid <= full;
                if (full) beat <= beat_end ? '0 : beat + 1'b1;
            end
        end
    end
endmodule

`default_nettype wire
