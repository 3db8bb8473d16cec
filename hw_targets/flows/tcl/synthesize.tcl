# The block design: processing system, clock, reset, DMA and accelerator; its synthesis.
source settings.tcl

# The newest version of an IP that this Vivado has.
proc newest {name} {
    set found [get_ipdefs -quiet $name:*]
    if {[llength $found] == 0} { error "ERROR: this Vivado has no IP $name" }
    return [lindex [lsort -dictionary [get_property VLNV $found]] end]
}
proc cell {name ip {options {}}} {
    create_bd_cell -type ip -vlnv [newest $ip] $name
    configure $name $options
}
proc configure {name options} {
    set properties {}
    foreach {option value} $options { lappend properties CONFIG.$option $value }
    if {[llength $properties]} { set_property -dict $properties [get_bd_cells $name] }
}
proc wire {from args} {
    foreach to $args { connect_bd_net [get_bd_pins $from] [get_bd_pins $to] }
}
proc bus {from to} { connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to] }

create_project -force liftflow build/liftflow -part $part
set_property target_language Verilog [current_project]
set preset 0
if {$board_part ne ""} {
    set known [lsort -dictionary [get_board_parts -quiet $board_part:*]]
    if {[llength $known]} {
        set_property board_part [lindex $known end] [current_project]
        set preset 1
    } else {
        puts "INFO: this Vivado has no board files of $board_part: the processing system's\
            own settings stay, as the board's boot image sets it up"
    }
}
set_property ip_repo_paths [list [file normalize ip]] [current_project]
update_ip_catalog -rebuild
create_bd_design design_1

# The processing system: one port to memory for the DMA, one to the DMA's registers, a reference
# clock of 100 MHz.
if {$processor eq "zynq7"} {
    cell ps xilinx.com:ip:processing_system7
    apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \
        make_external "FIXED_IO, DDR" apply_board_preset $preset Master Disable Slave Disable] \
        [get_bd_cells ps]
    configure ps {
        PCW_USE_M_AXI_GP0 1  PCW_USE_S_AXI_HP0 1  PCW_S_AXI_HP0_DATA_WIDTH 64
        PCW_EN_CLK0_PORT 1  PCW_FPGA0_PERIPHERAL_FREQMHZ 100
    }
    array set at {
        clock ps/FCLK_CLK0  reset ps/FCLK_RESET0_N
        registers ps/M_AXI_GP0  registers_clock ps/M_AXI_GP0_ACLK
        memory ps/S_AXI_HP0  memory_clock ps/S_AXI_HP0_ACLK
    }
} else {
    cell ps xilinx.com:ip:zynq_ultra_ps_e
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config [list \
        apply_board_preset $preset] [get_bd_cells ps]
    configure ps {
        PSU__USE__M_AXI_GP0 1  PSU__USE__M_AXI_GP1 0  PSU__USE__M_AXI_GP2 0
        PSU__USE__S_AXI_GP2 1  PSU__SAXIGP2__DATA_WIDTH 128
        PSU__FPGA_PL0_ENABLE 1  PSU__OVERRIDE__BASIC_CLOCK 0  PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100
    }
    array set at {
        clock ps/pl_clk0  reset ps/pl_resetn0
        registers ps/M_AXI_HPM0_FPD  registers_clock ps/maxihpm0_fpd_aclk
        memory ps/S_AXI_HP0_FPD  memory_clock ps/saxihp0_fpd_aclk
    }
}

# The accelerator's clock, and all others', from the reference.
cell clock xilinx.com:ip:clk_wiz [list PRIM_IN_FREQ.VALUE_SRC PROPAGATED \
    PRIM_SOURCE No_buffer CLKOUT1_REQUESTED_OUT_FREQ $clock_mhz \
    USE_LOCKED true USE_RESET true RESET_TYPE ACTIVE_LOW RESET_PORT resetn]
cell reset xilinx.com:ip:proc_sys_reset
wire $at(clock) clock/clk_in1
wire $at(reset) clock/resetn reset/ext_reset_in
wire clock/locked reset/dcm_locked

cell dma xilinx.com:ip:axi_dma [list c_include_sg 0 c_sg_include_stscntrl_strm 0 \
    c_sg_length_width $length_bits c_addr_width $address_bits \
    c_include_mm2s 1 c_include_s2mm 1 c_include_mm2s_dre 0 c_include_s2mm_dre 0 \
    c_m_axi_mm2s_data_width $in_bits c_m_axis_mm2s_tdata_width $in_bits \
    c_s_axis_s2mm_tdata_width.VALUE_SRC USER c_m_axi_s2mm_data_width.VALUE_SRC USER \
    c_m_axi_s2mm_data_width $out_bits c_s_axis_s2mm_tdata_width $out_bits \
    c_mm2s_burst_size 16 c_s2mm_burst_size 16]
cell accelerator liftflow:accelerators:$top
cell to_memory xilinx.com:ip:smartconnect {NUM_SI 2 NUM_MI 1}
cell to_registers xilinx.com:ip:smartconnect {NUM_SI 1 NUM_MI 1}

bus dma/M_AXIS_MM2S accelerator/s_axis
bus accelerator/m_axis dma/S_AXIS_S2MM
bus dma/M_AXI_MM2S to_memory/S00_AXI
bus dma/M_AXI_S2MM to_memory/S01_AXI
bus to_memory/M00_AXI $at(memory)
bus $at(registers) to_registers/S00_AXI
bus to_registers/M00_AXI dma/S_AXI_LITE

wire clock/clk_out1 reset/slowest_sync_clk accelerator/aclk to_memory/aclk to_registers/aclk \
    dma/s_axi_lite_aclk dma/m_axi_mm2s_aclk dma/m_axi_s2mm_aclk \
    $at(memory_clock) $at(registers_clock)
wire reset/interconnect_aresetn to_memory/aresetn to_registers/aresetn
wire reset/peripheral_aresetn dma/axi_resetn accelerator/aresetn

assign_bd_address
validate_bd_design
save_bd_design

# One synthesis of everything: $readmemh then looks in one folder.
set_property synth_checkpoint_mode None [get_files design_1.bd]
generate_target all [get_files design_1.bd]
make_wrapper -files [get_files design_1.bd] -import -fileset sources_1 -top
set_property top design_1_wrapper [current_fileset]
update_compile_order -fileset sources_1
set_property STEPS.SYNTH_DESIGN.TCL.PRE [file normalize tcl/memories.tcl] [get_runs synth_1]
launch_runs synth_1 -jobs 4
wait_on_run synth_1
set log build/liftflow/liftflow.runs/synth_1/runme.log
if {[get_property PROGRESS [get_runs synth_1]] ne "100%"} {
    error "ERROR: synthesis ended with [get_property STATUS [get_runs synth_1]]; its log is $log"
}
# Vivado makes a memory whose file it does not find of zeros, and goes on.
set file [open $log]
set said [read $file]
close $file
if {[regexp {could not open \$readmem data file '([^']*)'} $said -> name]} {
    error "ERROR: Vivado did not find memory file $name; the log is $log"
}
open_run synth_1
report_utilization -file synthesized.rpt
write_checkpoint -force synthesized.dcp
set handoff [glob build/liftflow/liftflow.*/sources_1/bd/design_1/hw_handoff/design_1.hwh]
file copy -force [lindex $handoff 0] design.hwh
close_project
