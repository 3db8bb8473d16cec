# The accelerator in its DMA shell as an IP of Vivado's (IP-XACT), in the folder ip.
source settings.tcl

create_project -force package_ip build/package_ip -part $part
set_property target_language Verilog [current_project]
foreach name [concat $sources $memories] {
    if {![file exists rtl/$name]} { error "ERROR: rtl/$name is missing" }
    add_files -norecurse -fileset sources_1 [file normalize rtl/$name]
}
set_property top $top [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir ip -vendor liftflow -library accelerators \
    -taxonomy /LiftFlow -import_files -force
set core [ipx::current_core]
set_property name $top $core
set_property version 1.0 $core
set_property display_name "LiftFlow accelerator $digest" $core
set_property description "A neural network between the streams of an AXI DMA" $core
# The clock is whatever the block design gives.
set_property ipi_drc {ignore_freq_hz true} $core
foreach stream {s_axis m_axis} {
    if {[llength [ipx::get_bus_interfaces $stream -of_objects $core]] != 1} {
        error "ERROR: $stream was not recognised as an AXI stream"
    }
    ipx::associate_bus_interfaces -busif $stream -clock aclk $core
}
# Vivado imports the sources it knows to be such; memories of an IP have to be among its files.
foreach group [ipx::get_file_groups *synthesis* -of_objects $core] {
    foreach name $memories {
        if {[llength [ipx::get_files *$name -of_objects $group]] == 0} {
            file copy -force rtl/$name ip/src/$name
            ipx::add_file src/$name $group
        }
    }
}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
