// Sliding windows of an image stream, without padding.
//
// A circular buffer of DEPTH words (a power of two). Positions count words since reset and wrap
// far beyond the buffer, so differences of positions order reader and writer; the buffer address
// is their low part. Words are freed as the window moves on, hence the next frame loads while
// this one drains. From each word of a window to the next the position moves by one of five
// constants, six where the kernel's columns lie apart, which is all the address generation there
// is.
`default_nettype none

module lf_swu #(
    parameter int IN_H       = 4,
    parameter int IN_W       = 4,
    parameter int FOLDS      = 1,
    parameter int KERNEL_H   = 3,
    parameter int KERNEL_W   = 3,
    parameter int STRIDE_H   = 1,
    parameter int STRIDE_W   = 1,
    parameter int DILATION_H = 1,
    parameter int DILATION_W = 1,
    parameter int WIDTH      = 8,
    parameter int DEPTH      = 16
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
    localparam int OUT_H = (IN_H - (KERNEL_H - 1) * DILATION_H - 1) / STRIDE_H + 1;
    localparam int OUT_W = (IN_W - (KERNEL_W - 1) * DILATION_W - 1) / STRIDE_W + 1;
    localparam int ROW = IN_W * FOLDS;
    // Words side by side: a row of the window, or its pixels where they lie apart.
    localparam int SEGMENTS = DILATION_W > 1 ? KERNEL_W : 1;
    localparam int SEGMENT = KERNEL_W / SEGMENTS * FOLDS;
    // Position steps: to the next segment, the next row of the window, the next window, the next
    // row of windows and the next frame, each from the last word of what it leaves.
    localparam int TO_SEGMENT = DILATION_W * FOLDS - (SEGMENT - 1);
    localparam int LINE_SPAN = (SEGMENTS - 1) * DILATION_W * FOLDS + SEGMENT - 1;
    localparam int WINDOW_SPAN = (KERNEL_H - 1) * DILATION_H * ROW + LINE_SPAN;
    localparam int TO_LINE = DILATION_H * ROW - LINE_SPAN;
    localparam int TO_WINDOW = STRIDE_W * FOLDS - WINDOW_SPAN;
    localparam int TO_ROW = STRIDE_H * ROW - (OUT_W - 1) * STRIDE_W * FOLDS - WINDOW_SPAN;
    localparam int TO_FRAME = (IN_H - (OUT_H - 1) * STRIDE_H) * ROW
        - (OUT_W - 1) * STRIDE_W * FOLDS - WINDOW_SPAN;

    // The reader may be ahead of the writer by a skipped part of a frame and one window.
    localparam int SKIP = (IN_H - (OUT_H - 1) * STRIDE_H) * ROW;
    localparam int SKIP_ROWS = STRIDE_H * ROW;
    localparam int AHEAD = (SKIP > SKIP_ROWS ? SKIP : SKIP_ROWS) + WINDOW_SPAN + 1;
    localparam int POS = $clog2((AHEAD > DEPTH ? AHEAD : DEPTH) + 1) + 1;
    localparam int ADDR = $clog2(DEPTH);

    localparam int WORD_BITS = $clog2(SEGMENT + 1);
    localparam int LINE_BITS = $clog2(KERNEL_H + 1);
    localparam int X_BITS = $clog2(OUT_W + 1);
    localparam int Y_BITS = $clog2(OUT_H + 1);

    // What is read while its word is written is not used, which `no_rw_check` tells Yosys.
    (* no_rw_check *) logic [WIDTH-1:0] memory [DEPTH];

    // Positions of the next word to write, of the next word to read, and of the oldest kept.
    logic [POS-1:0] write_pos;
    logic [POS-1:0] read_pos;
    logic [POS-1:0] free_pos;

    // Writer. That there is room again is seen a cycle late, for the memory may be far away.
    wire logic [POS-1:0] held = write_pos - free_pos;
    logic                full;
    wire logic           push = s_axis_tvalid && s_axis_tready;

    assign s_axis_tready = !full;

    always_ff @(posedge clk) begin
        if (push) memory[write_pos[ADDR-1:0]] <= s_axis_tdata;
        full <= held == POS'(DEPTH) || (push && held == POS'(DEPTH - 1));
        if (push) write_pos <= write_pos + 1'b1;
        if (rst) begin
            write_pos <= '0;
            full      <= 1'b0;
        end
    end

    // Reader: counters of what is left, and whether they are at their end.
    logic [WORD_BITS-1:0] words_left;
    logic [LINE_BITS-1:0] lines_left;
    logic [X_BITS-1:0]    columns_left;
    logic [Y_BITS-1:0]    rows_left;
    logic                 window_start;

    wire logic segment_end = words_left == '0;
    wire logic last_word;  // the row of the window ends
    wire logic line_end = lines_left == '0;
    wire logic column_end = columns_left == '0;
    wire logic row_end = rows_left == '0;

    wire logic enable = m_axis_tready || !m_axis_tvalid;
    wire logic [POS-1:0] lead = write_pos - read_pos;
    // Strictly ahead: neither equal nor negative.
    wire logic available = !lead[POS-1] && lead != '0;
    wire logic step = enable && available;

    logic [POS-1:0] delta;
    always_comb begin
        if (!segment_end) delta = POS'(1);
        else if (!last_word) delta = POS'(TO_SEGMENT);
        else if (!line_end) delta = POS'(TO_LINE);
        else if (!column_end) delta = POS'(TO_WINDOW);
        else if (!row_end) delta = POS'(TO_ROW);
        else delta = POS'(TO_FRAME);
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            read_pos     <= '0;
            free_pos     <= '0;
            window_start <= 1'b1;
            words_left   <= WORD_BITS'(SEGMENT - 1);
            lines_left   <= LINE_BITS'(KERNEL_H - 1);
            columns_left <= X_BITS'(OUT_W - 1);
            rows_left    <= Y_BITS'(OUT_H - 1);
        end else begin
            if (window_start) free_pos <= read_pos;
            if (step) begin
                read_pos     <= read_pos + delta;
                window_start <= last_word && line_end;
                words_left   <= segment_end ? WORD_BITS'(SEGMENT - 1) : words_left - 1'b1;
                if (last_word) begin
                    lines_left <= line_end ? LINE_BITS'(KERNEL_H - 1) : lines_left - 1'b1;
                    if (line_end) begin
                        columns_left <= column_end ? X_BITS'(OUT_W - 1) : columns_left - 1'b1;
                        if (column_end)
                            rows_left <= row_end ? Y_BITS'(OUT_H - 1) : rows_left - 1'b1;
                    end
                end
            end
        end
    end

    if (SEGMENTS == 1) begin : g_together
        assign last_word = segment_end;
    end else begin : g_apart
        localparam int BITS = $clog2(SEGMENTS + 1);
        logic [BITS-1:0] segments_left;
        assign last_word = segment_end && segments_left == '0;
        always_ff @(posedge clk) begin
            if (rst) segments_left <= BITS'(SEGMENTS - 1);
            else if (step && segment_end)
                segments_left <= last_word ? BITS'(SEGMENTS - 1) : segments_left - 1'b1;
        end
    end

    logic [WIDTH-1:0] fetched;
    logic             fetched_valid;

    always_ff @(posedge clk) begin
        if (enable) begin
            fetched      <= memory[read_pos[ADDR-1:0]];
            m_axis_tdata <= fetched;
        end
        if (rst) begin
            fetched_valid <= 1'b0;
            m_axis_tvalid <= 1'b0;
        end else if (enable) begin
            fetched_valid <= available;
            m_axis_tvalid <= fetched_valid;
        end
    end
endmodule

`default_nettype wire
