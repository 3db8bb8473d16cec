// Every pixel SCALE_W times in a row, every row of IN_W pixels SCALE_H times.
//
// A circular buffer of DEPTH words (a power of two). Positions carry one bit more than addresses,
// which tells full from empty; the reader goes back to the start of the pixel or of the row, and
// frees a word when it reads it for the last time. All rows are alike, so none are counted.
`default_nettype none

module lf_upsample #(
    parameter int IN_W    = 4,
    parameter int FOLDS   = 1,
    parameter int SCALE_H = 2,
    parameter int SCALE_W = 2,
    parameter int WIDTH   = 8,
    parameter int DEPTH   = 4
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
    localparam int ADDR = $clog2(DEPTH);
    localparam int FOLD_BITS = $clog2(FOLDS + 1);
    localparam int X_BITS = $clog2(IN_W + 1);
    localparam int SX_BITS = $clog2(SCALE_W + 1);
    localparam int SY_BITS = $clog2(SCALE_H + 1);

    // What is read while its word is written is not used, which `no_rw_check` tells Yosys.
    (* no_rw_check *) logic [WIDTH-1:0] memory [DEPTH];

    // Positions of the next word to write, of the next to read, and of the oldest kept.
    logic [ADDR:0] write_pos;
    logic [ADDR:0] read_pos;
    logic [ADDR:0] free_pos;

    wire logic push = s_axis_tvalid && s_axis_tready;

    assign s_axis_tready = write_pos != {!free_pos[ADDR], free_pos[ADDR-1:0]};

    always_ff @(posedge clk) begin
        if (push) memory[write_pos[ADDR-1:0]] <= s_axis_tdata;
        if (rst) write_pos <= '0;
        else if (push) write_pos <= write_pos + 1'b1;
    end

    // Reader: counters of what is left, and whether they are at their end.
    logic [FOLD_BITS-1:0] folds_left;
    logic [SX_BITS-1:0]   copies_left;
    logic [X_BITS-1:0]    pixels_left;
    logic [SY_BITS-1:0]   passes_left;

    wire logic fold_end = folds_left == '0;
    wire logic copy_end = copies_left == '0;
    wire logic pixel_end = pixels_left == '0;
    wire logic pass_end = passes_left == '0;

    wire logic enable = m_axis_tready || !m_axis_tvalid;
    wire logic available = write_pos != read_pos;
    wire logic step = enable && available;

    logic [ADDR:0] delta;
    always_comb begin
        if (!fold_end) delta = (ADDR+1)'(1);
        else if (!copy_end) delta = (ADDR+1)'(1 - FOLDS);
        else if (pixel_end && !pass_end) delta = (ADDR+1)'(1 - IN_W * FOLDS);
        else delta = (ADDR+1)'(1);
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            read_pos    <= '0;
            free_pos    <= '0;
            folds_left  <= FOLD_BITS'(FOLDS - 1);
            copies_left <= SX_BITS'(SCALE_W - 1);
            pixels_left <= X_BITS'(IN_W - 1);
            passes_left <= SY_BITS'(SCALE_H - 1);
        end else if (step) begin
            read_pos   <= read_pos + delta;
            folds_left <= fold_end ? FOLD_BITS'(FOLDS - 1) : folds_left - 1'b1;
            if (copy_end && pass_end) free_pos <= free_pos + 1'b1;
            if (fold_end) begin
                copies_left <= copy_end ? SX_BITS'(SCALE_W - 1) : copies_left - 1'b1;
                if (copy_end) begin
                    pixels_left <= pixel_end ? X_BITS'(IN_W - 1) : pixels_left - 1'b1;
                    if (pixel_end)
                        passes_left <= pass_end ? SY_BITS'(SCALE_H - 1) : passes_left - 1'b1;
                end
            end
        end
    end

    // Block RAM answers late in the cycle: a register behind it.
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
