// Constants of the byte protocol; docs/protocol.md says what they mean.
package lf_protocol;
    localparam logic [7:0] SYNC_HOST  = 8'hA5;
    localparam logic [7:0] SYNC_BOARD = 8'h5A;

    localparam logic [7:0] INFER    = 8'h01;
    localparam logic [7:0] IDENTIFY = 8'h02;

    localparam logic [7:0] OK              = 8'd0;
    localparam logic [7:0] BAD_CRC         = 8'd1;
    localparam logic [7:0] BAD_LENGTH      = 8'd2;
    localparam logic [7:0] OVERRUN         = 8'd3;
    localparam logic [7:0] UNKNOWN_COMMAND = 8'd4;
    localparam logic [7:0] TIMEOUT         = 8'd5;
    localparam logic [7:0] NO_RESULT       = 8'd6;

    localparam int LATENCY_BYTES  = 4;   // in front of the outputs in the answer to INFER
    localparam int IDENTIFY_REPLY = 30;
endpackage
