// Package webpage is what the HTML pages of the studies share: scripts that make tables and pictures interactive, and the content
// policy that lets these scripts run and nothing else.
//
// A page is one file that works offline. Its pictures and tables are in the file as they are shown without scripts. Scripts add to
// them: they sort tables, show the numbers of a cell, and draw charts of what the reader selects. The data of the scripts is JSON in
// an element of type application/json, which a browser does not run.
//
// # The content policy
//
// The policy names each script by its SHA-256 sum, so a text of a model that became a script would not run. Trusted types are
// required and none exists, so a script cannot turn a text into markup. Nothing is requested. Styles may be inline: tables colour
// their cells with them.
//
// # The plotting library
//
// [Plot] is what the pages use of Observable Plot and of the d3 modules that it needs, in one minified file (folder plot).
// scripts/pagelibrary/build.sh makes it of the packages in packages.txt. Their licences are in the folder licences, and
// scripts/supply lists them with those of the linked modules.
package webpage
