// What the middle of the page can hold besides the images, in the order of the tabs.

import exporting from "./export.js";
import map from "./map.js";
import queue from "./queue.js";
import regroup from "./regroup.js";
import tree from "./tree.js";

export default [map, queue, regroup, tree, exporting];
