// FINN's matrix-vector unit (mvu_vvu_axi of its RTL library) with our ports, for comparison.
//
// lf_finn_mvu: its weights come from FINN's memory streamer, word nf*SF + sf, element p*SIMD + s.
// lf_finn_mvu_unit: the same without memory, its weights come in at a port.
`default_nettype none

module lf_finn_mvu #(
    parameter int MW             = 8,
    parameter int MH             = 8,
    parameter int SIMD           = 2,
    parameter int PE             = 2,
    parameter int WEIGHT_BITS    = 4,
    parameter int ACT_BITS       = 4,
    parameter bit ACT_SIGNED     = 0,
    parameter int ACC_BITS       = 11,
    parameter bit NARROW_WEIGHTS = 0,
    // FINN's number of the DSP slice: 1 for DSP48E1, 2 for DSP48E2; 0 for a description of one.
    parameter int VERSION        = 0,
    parameter     ROM_STYLE      = "distributed",
    parameter     WEIGHTS        = "weights.mem",
    localparam int IN_WIDTH      = SIMD * ACT_BITS,
    localparam int OUT_WIDTH     = PE * ACC_BITS
) (
    input  wire logic                 clk,
    input  wire logic                 rst,
    input  wire logic [IN_WIDTH-1:0]  s_axis_tdata,
    input  wire logic                 s_axis_tvalid,
    output      logic                 s_axis_tready,
    output      logic [OUT_WIDTH-1:0] m_axis_tdata,
    output      logic                 m_axis_tvalid,
    input  wire logic                 m_axis_tready
);
    localparam int WORD = PE * SIMD * WEIGHT_BITS;

    wire logic [WORD-1:0] w_tdata;
    wire logic w_tvalid, w_tready;

    memstream #(
        .SETS(1), .DEPTH((MW / SIMD) * (MH / PE)), .WIDTH(WORD),
        .INIT_FILE(WEIGHTS), .RAM_STYLE(ROM_STYLE)
    ) weights (
        .clk(clk), .rst(rst),
        .config_ce(1'b0), .config_we(1'b0), .config_address('0), .config_d0('0),
        .config_rack(), .config_q0(), .sidx('0), .svld(1'b0), .srdy(),
        .ordy(w_tready), .ovld(w_tvalid), .odat(w_tdata)
    );

    lf_finn_mvu_unit #(
        .MW(MW), .MH(MH), .SIMD(SIMD), .PE(PE), .WEIGHT_BITS(WEIGHT_BITS), .ACT_BITS(ACT_BITS),
        .ACT_SIGNED(ACT_SIGNED), .ACC_BITS(ACC_BITS), .NARROW_WEIGHTS(NARROW_WEIGHTS),
        .VERSION(VERSION)
    ) unit (.*);
endmodule

module lf_finn_mvu_unit #(
    parameter int MW             = 8,
    parameter int MH             = 8,
    parameter int SIMD           = 2,
    parameter int PE             = 2,
    parameter int WEIGHT_BITS    = 4,
    parameter int ACT_BITS       = 4,
    parameter bit ACT_SIGNED     = 0,
    parameter int ACC_BITS       = 11,
    parameter bit NARROW_WEIGHTS = 0,
    parameter int VERSION        = 0,
    localparam int WORD          = PE * SIMD * WEIGHT_BITS,
    localparam int IN_WIDTH      = SIMD * ACT_BITS,
    localparam int OUT_WIDTH     = PE * ACC_BITS
) (
    input  wire logic                 clk,
    input  wire logic                 rst,
    input  wire logic [WORD-1:0]      w_tdata,
    input  wire logic                 w_tvalid,
    output      logic                 w_tready,
    input  wire logic [IN_WIDTH-1:0]  s_axis_tdata,
    input  wire logic                 s_axis_tvalid,
    output      logic                 s_axis_tready,
    output      logic [OUT_WIDTH-1:0] m_axis_tdata,
    output      logic                 m_axis_tvalid,
    input  wire logic                 m_axis_tready
);
    // FINN pads streams to whole bytes.
    localparam int W_BYTES = (WORD + 7) / 8;
    localparam int IN_BYTES = (IN_WIDTH + 7) / 8;
    localparam int OUT_BYTES = (OUT_WIDTH + 7) / 8;

    wire logic [8*OUT_BYTES-1:0] padded;
    assign m_axis_tdata = padded[OUT_WIDTH-1:0];

    mvu_vvu_axi #(
        .IS_MVU(1), .VERSION(VERSION == 0 ? 1 : VERSION), .FORCE_BEHAVIORAL(VERSION == 0),
        .MW(MW), .MH(MH), .PE(PE), .SIMD(SIMD),
        .WEIGHT_WIDTH(WEIGHT_BITS), .NARROW_WEIGHTS(NARROW_WEIGHTS),
        .ACTIVATION_WIDTH(ACT_BITS), .SIGNED_ACTIVATIONS(ACT_SIGNED), .ACCU_WIDTH(ACC_BITS)
    ) finn (
        .ap_clk(clk), .ap_clk2x(1'b0), .ap_rst_n(!rst),
        .s_axis_weights_tdata((8*W_BYTES)'(w_tdata)),
        .s_axis_weights_tvalid(w_tvalid), .s_axis_weights_tready(w_tready),
        .s_axis_input_tdata((8*IN_BYTES)'(s_axis_tdata)),
        .s_axis_input_tvalid(s_axis_tvalid), .s_axis_input_tready(s_axis_tready),
        .m_axis_output_tdata(padded),
        .m_axis_output_tvalid(m_axis_tvalid), .m_axis_output_tready(m_axis_tready)
    );
endmodule

`default_nettype wire
