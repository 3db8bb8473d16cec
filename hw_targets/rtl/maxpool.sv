// Maximum over KERNEL x KERNEL pixels, stride KERNEL; leftover rows and columns are dropped.
//
// First along the row (a running maximum for each of the FOLDS channel beats), then down the
// columns (one for each beat of an output row). Both memories are read one cycle ahead of use.
`default_nettype none

module lf_maxpool #(
    parameter int IN_H   = 4,
    parameter int IN_W   = 4,
    parameter int FOLDS  = 1,
    parameter int KERNEL = 2,
    parameter int PE     = 1,
    parameter int BITS   = 4,
    parameter bit SIGNED = 0,
    localparam int WIDTH = PE * BITS
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
    localparam int OUT_W = IN_W / KERNEL;
    localparam int OUT_H = IN_H / KERNEL;
    localparam int REST = IN_W - OUT_W * KERNEL;
    localparam int FOLD_BITS = $clog2(FOLDS + 1);
    localparam int K_BITS = $clog2(KERNEL + 1);
    localparam int X_BITS = $clog2(OUT_W + 2);
    localparam int Y_BITS = $clog2(OUT_H + 2);

    wire logic enable = m_axis_tready || !m_axis_tvalid;
    assign s_axis_tready = enable;
    wire logic step = enable && s_axis_tvalid;

    // Position of the incoming beat. Leftover pixels have out_x == OUT_W (rows: out_y == OUT_H).
    logic [FOLD_BITS-1:0] fold;
    logic [K_BITS-1:0]    kernel_x, kernel_y;
    logic [X_BITS-1:0]    out_x;
    logic [Y_BITS-1:0]    out_y;

    wire logic fold_end = fold == FOLD_BITS'(FOLDS - 1);
    wire logic kx_end = kernel_x == K_BITS'(KERNEL - 1);
    wire logic ky_end = kernel_y == K_BITS'(KERNEL - 1);
    wire logic x_end = REST > 0
        ? out_x == X_BITS'(OUT_W) && kernel_x == K_BITS'(REST - 1)
        : out_x == X_BITS'(OUT_W - 1) && kx_end;
    wire logic y_end = IN_H > OUT_H * KERNEL
        ? out_y == Y_BITS'(OUT_H) && kernel_y == K_BITS'(IN_H - OUT_H * KERNEL - 1)
        : out_y == Y_BITS'(OUT_H - 1) && ky_end;

    always_ff @(posedge clk) begin
        if (rst) begin
            fold     <= '0;
            kernel_x <= '0;
            kernel_y <= '0;
            out_x    <= '0;
            out_y    <= '0;
        end else if (step) begin
            fold <= fold_end ? '0 : fold + 1'b1;
            if (fold_end) begin
                kernel_x <= kx_end || x_end ? '0 : kernel_x + 1'b1;
                if (x_end) out_x <= '0;
                else if (kx_end) out_x <= out_x + 1'b1;
                if (x_end) begin
                    kernel_y <= ky_end || y_end ? '0 : kernel_y + 1'b1;
                    if (y_end) out_y <= '0;
                    else if (ky_end) out_y <= out_y + 1'b1;
                end
            end
        end
    end

    // Along the row: a beat that completes its window passes on as `row_max`.
    logic             row_done, row_first, row_last;
    logic [WIDTH-1:0] row_max;

    lf_maxpool_fold #(
        .DEPTH(FOLDS), .PE(PE), .BITS(BITS), .SIGNED(SIGNED)
    ) u_row (
        .clk(clk), .rst(rst), .enable(enable), .valid(s_axis_tvalid),
        .first(kernel_x == '0), .value(s_axis_tdata), .maximum(row_max)
    );

    always_ff @(posedge clk) begin
        if (rst) begin
            row_done <= 1'b0;
        end else if (enable) begin
            row_done <= s_axis_tvalid && kx_end && out_x != X_BITS'(OUT_W)
                && out_y != Y_BITS'(OUT_H);
        end
        if (enable) begin
            row_first <= kernel_y == '0;
            row_last  <= ky_end;
        end
    end

    // Down the columns.
    lf_maxpool_fold #(
        .DEPTH(OUT_W * FOLDS), .PE(PE), .BITS(BITS), .SIGNED(SIGNED)
    ) u_column (
        .clk(clk), .rst(rst), .enable(enable), .valid(row_done),
        .first(row_first), .value(row_max), .maximum(m_axis_tdata)
    );

    always_ff @(posedge clk) begin
        if (rst) m_axis_tvalid <= 1'b0;
        else if (enable) m_axis_tvalid <= row_done && row_last;
    end
endmodule

// Running maxima of DEPTH values that come round in turn; `first` starts a value anew.
module lf_maxpool_fold #(
    parameter int DEPTH  = 1,
    parameter int PE     = 1,
    parameter int BITS   = 4,
    parameter bit SIGNED = 0,
    localparam int WIDTH = PE * BITS
) (
    input  wire logic             clk,
    input  wire logic             rst,
    input  wire logic             enable,
    input  wire logic             valid,
    input  wire logic             first,
    input  wire logic [WIDTH-1:0] value,
    output      logic [WIDTH-1:0] maximum
);
    wire logic step = enable && valid;

    logic [WIDTH-1:0] stored;
    logic [WIDTH-1:0] larger;

    for (genvar p = 0; p < PE; p++) begin : g_lane
        wire logic [BITS-1:0] old = stored[p*BITS +: BITS];
        wire logic [BITS-1:0] now = value[p*BITS +: BITS];
        wire logic keep = SIGNED ? $signed(old) > $signed(now) : old > now;
        assign larger[p*BITS +: BITS] = keep && !first ? old : now;
    end

    always_ff @(posedge clk) if (step) maximum <= larger;

    if (DEPTH == 1) begin : g_register
        assign stored = maximum;
    end else begin : g_memory
        localparam int ADDR = $clog2(DEPTH);

        // Slots read and written at once differ, which `no_rw_check` tells Yosys.
        (* no_rw_check *) logic [WIDTH-1:0] memory [DEPTH];
        logic [ADDR-1:0]  slot;
        logic [ADDR-1:0]  next;

        // The value of the next slot is fetched while this one is compared; it was written at
        // least one step before, as there are two slots or more.
        always_ff @(posedge clk) begin
            if (step) begin
                memory[slot] <= larger;
                stored       <= memory[next];
            end
            if (rst) begin
                slot <= '0;
                next <= ADDR'(1);
            end else if (step) begin
                slot <= next;
                next <= next == ADDR'(DEPTH - 1) ? '0 : next + 1'b1;
            end
        end
    end
endmodule

`default_nettype wire
