// Queue of DEPTH words with registered ready and valid; one beat a cycle sustained.
//
// DEPTH 2 is a skid buffer of two registers. Deeper queues are a memory (LUT RAM or block RAM, as
// the synthesis tool finds best for the size) and an output register. From FAR words on there is a
// register between them, as block RAM answers late in the cycle. Registers count as words of DEPTH.
//
// LF_PROBE adds ports that tell the occupancy.
`default_nettype none

module lf_fifo #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 2
) (
    input  wire logic             clk,
    input  wire logic             rst,
    input  wire logic [WIDTH-1:0] s_axis_tdata,
    input  wire logic             s_axis_tvalid,
    output      logic             s_axis_tready,
    output      logic [WIDTH-1:0] m_axis_tdata,
    output      logic             m_axis_tvalid,
    input  wire logic             m_axis_tready
`ifdef LF_PROBE
    ,
    output      logic [31:0]      count_now,
    output      logic [31:0]      maxcount
`endif
);
    wire logic push = s_axis_tvalid && s_axis_tready;
    wire logic pull = m_axis_tready || !m_axis_tvalid;

    if (DEPTH == 2) begin : g_skid
        // `skid` holds a word only while the output register is occupied and stalled.
        logic             skid_valid;
        logic [WIDTH-1:0] skid;

        assign s_axis_tready = !skid_valid;

        always_ff @(posedge clk) begin
            if (s_axis_tready) skid <= s_axis_tdata;
            if (pull) m_axis_tdata <= skid_valid ? skid : s_axis_tdata;
            if (rst) begin
                skid_valid    <= 1'b0;
                m_axis_tvalid <= 1'b0;
            end else begin
                if (pull) begin
                    m_axis_tvalid <= skid_valid || s_axis_tvalid;
                    skid_valid    <= 1'b0;
                end else if (push) begin
                    skid_valid <= 1'b1;
                end
            end
        end
    end else begin : g_memory
        localparam int FAR = 64;
        localparam int REGISTERS = DEPTH < FAR ? 1 : 2;
        localparam int WORDS = DEPTH - REGISTERS;
        localparam int ADDR = $clog2(WORDS);

        // What is read while its word is written is not used, which `no_rw_check` tells Yosys.
        (* no_rw_check *) logic [WIDTH-1:0] memory [WORDS];
        logic [ADDR-1:0]  write_addr;
        logic [ADDR-1:0]  read_addr;
        logic [ADDR:0]    count;
        logic             some;
        logic             ready;

        logic take;  // The register behind the memory does.
        wire logic pop = some && take;

        assign s_axis_tready = ready;

        always_ff @(posedge clk) begin
            if (push) memory[write_addr] <= s_axis_tdata;
            if (rst) begin
                write_addr <= '0;
                read_addr  <= '0;
                count      <= '0;
                some       <= 1'b0;
                ready      <= 1'b0;
            end else begin
                if (push) write_addr <= write_addr == ADDR'(WORDS - 1) ? '0 : write_addr + 1'b1;
                if (pop)  read_addr  <= read_addr == ADDR'(WORDS - 1) ? '0 : read_addr + 1'b1;
                if (push && !pop) begin
                    count <= count + 1'b1;
                    some  <= 1'b1;
                    ready <= count < (ADDR + 1)'(WORDS - 1);
                end else if (pop && !push) begin
                    count <= count - 1'b1;
                    some  <= count != (ADDR + 1)'(1);
                    ready <= 1'b1;
                end else begin
                    ready <= count != (ADDR + 1)'(WORDS);
                end
            end
        end

        if (REGISTERS == 1) begin : g_near
            assign take = pull;

            always_ff @(posedge clk) begin
                if (take) m_axis_tdata <= memory[read_addr];
                if (rst) m_axis_tvalid <= 1'b0;
                else if (take) m_axis_tvalid <= some;
            end
        end else begin : g_far
            logic [WIDTH-1:0] read;
            logic             read_valid;

            assign take = pull || !read_valid;

            always_ff @(posedge clk) begin
                if (take) read <= memory[read_addr];
                if (pull) m_axis_tdata <= read;
                if (rst) begin
                    read_valid    <= 1'b0;
                    m_axis_tvalid <= 1'b0;
                end else begin
                    if (take) read_valid <= some;
                    if (pull) m_axis_tvalid <= read_valid;
                end
            end
        end
    end

`ifdef LF_PROBE
    wire logic leave = m_axis_tvalid && m_axis_tready;

    always_ff @(posedge clk) begin
        if (rst) begin
            count_now <= '0;
            maxcount  <= '0;
        end else begin
            count_now <= count_now + 32'(push) - 32'(leave);
            if (count_now > maxcount) maxcount <= count_now;
        end
    end
`endif
endmodule

`default_nettype wire
