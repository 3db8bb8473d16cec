// UART transmitter, 8N1, least significant bit first, DIVIDER clock cycles a bit.
module lf_uart_tx #(
    parameter int DIVIDER = 50
) (
    input  logic       clk,
    input  logic       rst,
    input  logic [7:0] data,
    input  logic       valid,
    output logic       ready,
    output logic       txd
);
    localparam int COUNT_BITS = $clog2(DIVIDER);
    localparam logic [COUNT_BITS-1:0] FULL = COUNT_BITS'(DIVIDER - 1);

    logic [8:0] shift;  // data above the start bit; ones follow, so the line rests high
    logic [3:0] left;   // bits still to send, the one on the line included
    logic [COUNT_BITS-1:0] count;

    assign ready = left == '0;
    assign txd   = shift[0];

    always_ff @(posedge clk) begin
        if (ready) begin
            count <= FULL;
            if (valid) begin
                shift <= {data, 1'b0};
                left  <= 4'd10;
            end
        end else if (count != '0) begin
            count <= count - 1'b1;
        end else begin
            count <= FULL;
            shift <= {1'b1, shift[8:1]};
            left  <= left - 1'b1;
        end
        if (rst) begin
            shift <= '1;
            left  <= '0;
        end
    end
endmodule
