// Sum or maximum of every channel over TAPS pixels, which come one after the other, each of FOLDS
// beats of PE channels.
//
// What has been found so far waits in a memory of FOLDS words. The word of the next beat is fetched
// while this one is reduced; before a first tap the least value is taken instead, by the reset of
// the register it is fetched into, which costs no LUT.
`default_nettype none

module lf_reduce #(
    parameter int FOLDS    = 1,
    parameter int TAPS     = 4,
    parameter int PE       = 1,
    parameter int BITS     = 4,
    parameter bit SIGNED   = 0,
    parameter bit MAXIMUM  = 0,
    parameter int OUT_BITS = 6,
    localparam int WIDTH   = PE * OUT_BITS
) (
    input  wire logic               clk,
    input  wire logic               rst,
    input  wire logic [PE*BITS-1:0] s_axis_tdata,
    input  wire logic               s_axis_tvalid,
    output      logic               s_axis_tready,
    output      logic [WIDTH-1:0]   m_axis_tdata,
    output      logic               m_axis_tvalid,
    input  wire logic               m_axis_tready
);
    localparam bit BLOCK = FOLDS >= 64 && FOLDS * WIDTH >= 4096;
    localparam int TAP_BITS = TAPS > 1 ? $clog2(TAPS) : 1;
    localparam logic [OUT_BITS-1:0] LEAST = OUT_BITS'(MAXIMUM && SIGNED) << (OUT_BITS - 1);

    // Position of the incoming beat.
    logic                first, last;
    logic [TAP_BITS-1:0] taps_left;
    logic                fold_end;

    // Only a finished word waits for the output register.
    wire logic enable = !last || !m_axis_tvalid || m_axis_tready;
    wire logic step = enable && s_axis_tvalid;

    assign s_axis_tready = enable;

    always_ff @(posedge clk) begin
        if (rst) begin
            first     <= 1'b1;
            last      <= TAPS == 1;
            taps_left <= TAP_BITS'(TAPS - 1);
        end else if (step && fold_end) begin
            first     <= last;
            last      <= last ? TAPS == 1 : taps_left == TAP_BITS'(1);
            taps_left <= last ? TAP_BITS'(TAPS - 1) : taps_left - 1'b1;
        end
    end

    // Lanes.
    logic [WIDTH-1:0] stored;
    logic [WIDTH-1:0] found;

    for (genvar p = 0; p < PE; p++) begin : g_lane
        wire logic [BITS-1:0] x = s_axis_tdata[p*BITS +: BITS];
        wire logic signed [BITS:0] wide = {SIGNED && x[BITS-1], x};
        wire logic [OUT_BITS-1:0] now = OUT_BITS'(wide);
        wire logic [OUT_BITS-1:0] old = stored[p*OUT_BITS +: OUT_BITS];

        if (MAXIMUM) begin : g_maximum
            wire logic keep = SIGNED ? $signed(old) > $signed(now) : old > now;
            assign found[p*OUT_BITS +: OUT_BITS] = keep ? old : now;
        end else begin : g_sum
            assign found[p*OUT_BITS +: OUT_BITS] = old + now;
        end
    end

    wire logic restart = fold_end ? last : first;

    if (FOLDS == 1) begin : g_register
        assign fold_end = 1'b1;
        always_ff @(posedge clk) begin
            if (rst || (step && restart)) stored <= {PE{LEAST}};
            else if (step) stored <= found;
        end
    end else begin : g_memory
        localparam int ADDR = $clog2(FOLDS);
        logic [ADDR-1:0]  slot;
        logic [ADDR-1:0]  next;
        logic [WIDTH-1:0] fetched;

        assign fold_end = next == '0;

        always_ff @(posedge clk) begin
            if (rst || (step && restart)) stored <= {PE{LEAST}};
            else if (step) stored <= fetched;
            if (rst) begin
                slot <= '0;
                next <= ADDR'(1);
            end else if (step) begin
                slot <= next;
                next <= next == ADDR'(FOLDS - 1) ? '0 : next + 1'b1;
            end
        end

        // Slots read and written at once differ, which `no_rw_check` tells Yosys.
        if (BLOCK) begin : g_block
            // Block RAM answers late in the cycle: its word is read one step sooner.
            (* ram_style = "block", no_rw_check *) logic [WIDTH-1:0] memory [FOLDS];
            logic [ADDR-1:0] sooner;

            always_ff @(posedge clk) begin
                if (step) begin
                    memory[slot] <= found;
                    fetched      <= memory[sooner];
                end
                if (rst) sooner <= ADDR'(2);
                else if (step) sooner <= sooner == ADDR'(FOLDS - 1) ? '0 : sooner + 1'b1;
            end
        end else begin : g_lut
            (* ram_style = "distributed", no_rw_check *) logic [WIDTH-1:0] memory [FOLDS];

            assign fetched = memory[next];
            always_ff @(posedge clk) if (step) memory[slot] <= found;
        end
    end

    always_ff @(posedge clk) begin
        if (step && last) m_axis_tdata <= found;
        if (rst) m_axis_tvalid <= 1'b0;
        else if (step && last) m_axis_tvalid <= 1'b1;
        else if (m_axis_tready) m_axis_tvalid <= 1'b0;
    end
endmodule

`default_nettype wire
