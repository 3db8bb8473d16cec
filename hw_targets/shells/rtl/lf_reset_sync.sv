// Reset that rises at once and falls in step with the clock, STAGES cycles after its cause.
//
// The initial value makes it a power-on reset too: FPGA registers load it with the bitstream.
module lf_reset_sync #(
    parameter int STAGES = 4
) (
    input  logic clk,
    input  logic async_reset,
    output logic rst
);
    (* keep *) logic [STAGES-1:0] chain = '1;

    always_ff @(posedge clk or posedge async_reset) begin
        if (async_reset) chain <= '1;
        else             chain <= {chain[STAGES-2:0], 1'b0};
    end

    assign rst = chain[STAGES-1];
endmodule
