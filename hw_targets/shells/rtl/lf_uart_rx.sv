// UART receiver, 8N1, least significant bit first, DIVIDER clock cycles a bit (at least 4).
//
// `valid` is high for one cycle with each byte. A byte without a stop bit is dropped: the frame it
// belonged to then fails its checksum or its timeout, and that is answered.
module lf_uart_rx #(
    parameter int DIVIDER = 50
) (
    input  logic       clk,
    input  logic       rst,
    input  logic       rxd,
    output logic [7:0] data,
    output logic       valid
);
    localparam int COUNT_BITS = $clog2(DIVIDER);
    localparam logic [COUNT_BITS-1:0] FULL = COUNT_BITS'(DIVIDER - 1);
    localparam logic [COUNT_BITS-1:0] HALF = COUNT_BITS'(DIVIDER / 2 - 1);

    // The line is asynchronous: two registers before anything looks at it.
    logic [1:0] line;
    logic       active;
    logic [3:0] index;  // 0: start bit, 1 to 8: data, 9: stop bit
    logic [COUNT_BITS-1:0] count;

    always_ff @(posedge clk) begin
        valid <= 1'b0;
        line  <= {line[0], rxd};
        if (!active) begin
            index  <= '0;
            count  <= HALF;
            active <= !line[1];
        end else if (count != '0) begin
            count <= count - 1'b1;
        end else begin
            count <= FULL;
            index <= index + 1'b1;
            if (index == 4'd0) begin
                active <= !line[1];  // a glitch is no start bit
            end else if (index == 4'd9) begin
                active <= 1'b0;
                valid  <= line[1];
            end else begin
                data <= {line[1], data[7:1]};
            end
        end
        if (rst) begin
            line   <= '1;
            active <= 1'b0;
            valid  <= 1'b0;
        end
    end
endmodule
