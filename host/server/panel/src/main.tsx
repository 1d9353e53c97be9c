import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/views.css";
import { render } from "preact";
import { App } from "./app";
import { cleanAllText } from "./clean";
import { start } from "./live";
import { followNews } from "./news";
import { startTheme } from "./theme";

cleanAllText();
startTheme();
const root = document.getElementById("panel");
if (root !== null) render(<App />, root);
followNews();
start();
