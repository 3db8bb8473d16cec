# Runs in the folder of the synthesis run, which is where $readmemh looks.
foreach name [glob -nocomplain -directory [file join [file dirname [info script]] .. rtl] *.mem] {
    file copy -force $name .
}
